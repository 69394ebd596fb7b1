"""What a table takes on the disk once many of its rows have changed, and what is done for it then."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import sqlalchemy as sa

from batchops.db.table import Table

Statement = Literal["ANALYZE", "VACUUM"]


@dataclass(frozen=True)
class TableSpace:
    """By the server's own figures, which may be some seconds old; None: it does not say."""

    bytes: int | None
    """On the disk, indexes included; in SQLite of the whole file."""
    free_bytes: int | None = None
    """Of these, what new rows can use at once."""
    dead_rows: int | None = None
    """Versions of rows that are kept until VACUUM, about."""


@dataclass(frozen=True)
class FreedSpace:
    """What a run has freed for new rows, or returned to the disk."""

    bytes: int
    basis: str
    """How that is known, in words."""


class Maintenance(Protocol):
    """After a run."""

    def freed(self, before: TableSpace, after: TableSpace, rows: int, row_bytes: float | None) -> FreedSpace | None:
        """What deleting so many rows of about so many bytes has freed; None where nobody can tell."""

    def space(self, connection: sa.Connection, table: Table) -> TableSpace:
        """What it takes now."""

    def refusal(self, connection: sa.Connection, table: Table, statement: Statement) -> tuple[str, str] | None:
        """Why the statement cannot be had here, and what to do instead; None where it can."""

    def run(
        self, connection: sa.Connection, table: Table, statement: Statement, stopped: Callable[[], bool]
    ) -> None:  # fmt: skip
        """The statement, on a connection without a transaction; in parts, where it has parts, until `stopped`."""


def table_name(connection: sa.Connection, table: Table) -> str:
    """The table as SQL names it."""
    return connection.dialect.identifier_preparer.format_table(table.clause)
