"""What the server's own planner says of a statement before it runs, and its counters afterwards."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.db.table import Table


@dataclass(frozen=True)
class Work:
    """What the server would do to find all rows of a selection, by its own estimate."""

    read: float
    """In rows of the table that are read one after the other."""
    rows: int
    """Rows that the selection has."""
    guessed: bool = False
    """Whether the server reads the whole table, and so knows little of how many rows of it match."""
    sampled: bool = False
    """Whether `rows` is what a sample says, and not the server."""
    others: float = 0.0
    """What of `read` is read of other tables, once for each row that the condition is asked about."""
    again: float = 0.0
    """What its condition costs a statement about no more than one row, as other tables are read for it."""


class Planner(Protocol):
    """The server's estimates and plans."""

    explains_writes: bool
    """Whether a DELETE or UPDATE can be explained where nothing may be written."""

    def shield(self, table: Table) -> str:
        """What keeps a condition from being looked up in an index of its own; empty where that needs no help."""

    def matches(self, connection: sa.Connection, select: sa.Select[Any]) -> int | None:
        """How many rows the planner expects of `select`; None where it does not say."""

    def explain(self, connection: sa.Connection, statement: sa.Select[Any] | sa.Delete | sa.Update) -> list[str]:
        """The server's own plan of a statement, not run."""

    def work(
        self, connection: sa.Connection, table: Table, parts: Sequence[Table], select: sa.Select[Any]
    ) -> Work | None:  # fmt: skip
        """What it takes to find the rows of `select` on the table, which lie in `parts`; None: nobody can tell."""

    def finds_by_key(
        self, connection: sa.Connection, table: Table, names: Sequence[str], select: sa.Select[Any]
    ) -> bool:  # fmt: skip
        """Whether the server finds the rows of `select` by the index on that key of the table, and by nothing else."""

    def meter(self, connection: sa.Connection) -> Callable[[], int] | None:
        """How many rows this connection reads from now on, of users' tables, by the server's own counters."""


def explained(
    connection: sa.Connection, statement: sa.Select[Any] | sa.Insert | sa.Delete | sa.Update, prefix: str
) -> sa.CursorResult[Any]:
    """The rows with which the server explains the statement, which is not run."""
    return prefixed(connection, statement, prefix)


def prefixed(
    connection: sa.Connection, statement: sa.Select[Any] | sa.Insert | sa.Delete | sa.Update, prefix: str
) -> sa.CursorResult[Any]:
    """The answer to the statement with something before it: EXPLAIN, CREATE TABLE … AS.

    Sent to the driver as text: SQLAlchemy takes a DELETE for one whatever comes before it, and drops the rows.
    """
    compiled = statement.compile(connection.engine, compile_kwargs={"render_postcompile": True})
    values = compiled.construct_params()
    positions = getattr(compiled, "positiontup", None)
    bound = values if positions is None else tuple(values[name] for name in positions)
    return connection.exec_driver_sql(f"{prefix} {compiled}", bound)
