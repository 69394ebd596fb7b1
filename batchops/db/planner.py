"""What the server's planner says about a statement before it runs, and what its counters say afterwards."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.db.facts import TableName
from batchops.db.table import Table


@dataclass(frozen=True)
class Work:
    """The server's own estimate of the work that it takes to find all rows of a selection."""

    read: float
    """The work, measured in rows of the table that are read one after the other."""
    rows: int
    """How many rows the selection has."""
    guessed: bool = False
    """Whether the server reads the whole table, and therefore knows little about how many rows match."""
    sampled: bool = False
    """Whether `rows` comes from a sample, and not from the server."""
    others: float = 0.0
    """The part of `read` that is spent on other tables, which are read for each row that the condition checks."""
    again: float = 0.0
    """What the condition costs each statement, even one about a single row, because other tables are read for it."""


class Planner(Protocol):
    """The server's estimates and plans."""

    explains_writes: bool
    """Whether a DELETE or UPDATE can be explained in a read-only transaction."""

    def shield(self, table: Table) -> str:
        """Return the prefix that keeps the server from using another index for a condition; empty if none is needed."""

    def matches(self, connection: sa.Connection, select: sa.Select[Any]) -> int | None:
        """Return how many rows the planner expects `select` to return; None where it does not say."""

    def explain(self, connection: sa.Connection, statement: sa.Select[Any] | sa.Delete | sa.Update) -> list[str]:
        """Return the lines of the server's plan for the statement, which is not run."""

    def work(
        self, connection: sa.Connection, table: Table, parts: Sequence[Table], select: sa.Select[Any]
    ) -> Work | None:  # fmt: skip
        """Return what it takes to find the rows of `select` in the table; None where it is unknown.

        `parts` are the partitions that hold the rows, or the table itself.
        """

    def finds_by_key(
        self, connection: sa.Connection, table: Table, names: Sequence[str], select: sa.Select[Any]
    ) -> bool:  # fmt: skip
        """Whether the server finds the rows of `select` by the index on the key `names` of the table alone."""

    def meter(
        self, connection: sa.Connection, table: Table, others: Collection[TableName]
    ) -> Callable[[], int] | None:  # fmt: skip
        """Return a function that tells how many rows of these tables this connection has read since then.

        It asks the server's own counters, and counts the rows of all tables where the server does not tell them apart;
        None where the server has no counters.
        """


def prefixed(
    connection: sa.Connection, statement: sa.Select[Any] | sa.Insert | sa.Delete | sa.Update, prefix: str
) -> sa.CursorResult[Any]:
    """Run the statement with a prefix, such as EXPLAIN or CREATE TABLE … AS, and return the result.

    The driver gets it as text: SQLAlchemy treats a DELETE as one whatever its prefix is, and drops the rows.
    """
    compiled = statement.compile(connection.engine, compile_kwargs={"render_postcompile": True})
    values = compiled.construct_params()
    positions = getattr(compiled, "positiontup", None)
    bound = values if positions is None else tuple(values[name] for name in positions)
    return connection.exec_driver_sql(f"{prefix} {compiled}", bound)
