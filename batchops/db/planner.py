"""What the server's own planner says of a statement before it runs, and its counters afterwards."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.db.table import Table


@dataclass(frozen=True)
class IndexUse:
    """An index through which the server would find all rows of a selection."""

    name: str
    columns: tuple[str, ...]
    rows: int
    """Rows the selection has, by the server's estimate."""
    ties: float
    """Rows with one value of the first column, where the index gives those no order that can be followed."""


class Planner(Protocol):
    """The server's estimates and plans."""

    explains_writes: bool
    """Whether a DELETE or UPDATE can be explained where nothing may be written."""
    shield: str
    """What keeps a condition from being looked up in an index of its own; empty where that needs no help."""
    indexes_hold_key: bool
    """Whether every index ends in the primary key, which is then found without a look at the row."""

    def matches(self, connection: sa.Connection, select: sa.Select[Any]) -> int | None:
        """How many rows the planner expects of `select`; None where it does not say."""

    def explain(self, connection: sa.Connection, statement: sa.Select[Any] | sa.Delete | sa.Update) -> list[str]:
        """The server's own plan of a statement, not run."""

    def index_for(self, connection: sa.Connection, table: Table, select: sa.Select[Any]) -> IndexUse | None:
        """The one index through which the server would find all rows of `select`; None for any other plan."""

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
