"""The statements that a job would send, for a dry run: the job's own code runs, and its writes are only recorded."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.db.database import Database
from batchops.errors import TransientError

SELECTED = "(of a SELECT of the same rows: no DELETE or UPDATE can be explained here)"
"""The first line of a plan that belongs to a SELECT of the same rows."""
FIRST_ROWS = 500
"""Rows of the first batch where --batch-size does not set them."""


@dataclass(frozen=True)
class Rehearsed:
    """A statement that a run would send."""

    what: str
    """The purpose of the statement, in a word."""
    sql: str
    explain: tuple[str, ...]
    """The lines of the server's plan; empty where the server was not asked."""


_RECORDED = "batchops_recorded"


def is_recorded(connection: sa.Connection) -> bool:
    """Whether the statements of this connection are recorded; then they have to be sent by way of SQLAlchemy."""
    return bool(connection.get_execution_options().get(_RECORDED))


@contextmanager
def recording(connection: sa.Connection) -> Iterator[list[sa.Executable]]:
    """Record the statements of the block. Writes are not sent and change no row; reads are sent without their locks.

    The block ends early where its own check finds that a write changed fewer rows than it should.
    """
    statements: list[sa.Executable] = []

    def receive(_: object, statement: Any, many: Any, params: Any, __: object) -> tuple[Any, Any, Any]:
        statements.append(statement)
        if not isinstance(statement, sa.Select):
            return sa.select(sa.null()).where(sa.false()), [], {}
        unlocked: Any = copy.copy(statement)
        unlocked._for_update_arg = None  # SQLAlchemy has no method that removes it
        return unlocked, many, params

    sa.event.listen(connection, "before_execute", receive, retval=True)
    connection.execution_options(**{_RECORDED: True})
    try:
        with suppress(TransientError):
            yield statements
    finally:
        connection.execution_options(**{_RECORDED: False})
        sa.event.remove(connection, "before_execute", receive)


def rehearsed(
    connection: sa.Connection, database: Database, what: str, statements: Sequence[sa.Executable]
) -> Iterator[Rehearsed]:
    """Yield the statements as texts, each with the server's plan."""
    for statement in statements:
        yield Rehearsed(what, shown_sql(database, statement), tuple(_explained(connection, database, statement)))


def shown_sql(database: Database, statement: Any) -> str:
    """Return the statement as one line, with its values as literals where their types have some."""
    dialect = database.engine.dialect
    try:
        text = str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    except (sa.exc.CompileError, NotImplementedError):
        text = str(statement.compile(dialect=dialect))
    if dialect.paramstyle in ("format", "pyformat"):
        text = text.replace("%%", "%")  # they are doubled only for the driver
    return " ".join(text.split())


def _explained(connection: sa.Connection, database: Database, statement: Any) -> list[str]:
    note = []
    if isinstance(statement, sa.Insert):
        return []
    if not isinstance(statement, sa.Select) and not database.backend.planner.explains_writes:
        note = [SELECTED]
        rows: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(statement.table)
        statement = rows if statement.whereclause is None else rows.where(statement.whereclause)
    try:
        with connection.begin_nested():
            return [*note, *database.backend.planner.explain(connection, statement)]
    except DBAPIError as error:
        return [f"the server does not explain it: {database.error(error).message}"]
