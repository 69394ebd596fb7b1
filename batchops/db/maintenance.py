"""The disk space of a table after many of its rows have changed, and the statements that maintain it then."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import sqlalchemy as sa

from batchops.db.table import Table

Statement = Literal["ANALYZE", "VACUUM"]


@dataclass(frozen=True)
class TableSpace:
    """The disk space of a table by the server's own figures, which may be some seconds old; None: it does not say."""

    bytes: int | None
    """Bytes on the disk, indexes included; in SQLite those of the whole file."""
    free_bytes: int | None = None
    """Of these, the bytes that new rows can use at once."""
    dead_rows: int | None = None
    """Estimate of the row versions that stay until VACUUM removes them."""


@dataclass(frozen=True)
class FreedSpace:
    """The bytes that a run has freed for new rows, or returned to the disk."""

    bytes: int
    basis: str
    """How the number was found, in words."""


class Maintenance(Protocol):
    """What one database can do for a table after a run: measure the freed space, run ANALYZE and VACUUM."""

    def freed(self, before: TableSpace, after: TableSpace, rows: int, row_bytes: float | None) -> FreedSpace | None:
        """Return what the deletion of `rows` rows of about `row_bytes` bytes has freed; None where it is unknown."""

    def space(self, connection: sa.Connection, table: Table) -> TableSpace:
        """Return the space that the table takes now."""

    def refusal(self, connection: sa.Connection, table: Table, statement: Statement) -> tuple[str, str] | None:
        """Return why the statement cannot be run here, and what to do instead; None where it can."""

    def run(
        self, connection: sa.Connection, table: Table, statement: Statement, stopped: Callable[[], bool]
    ) -> None:  # fmt: skip
        """Run the statement on a connection without a transaction; one that runs in parts ends early if `stopped`."""
