"""One file per database: how its `events` table of about 130 bytes a row is filled, renewed and reached."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

HALF = "status = 1"
"""Matches half of the rows, scattered over the table by a hash of the key."""
DELETE = f"DELETE FROM events WHERE {HALF}"
SET = "score = status + 1"
UPDATE = f"UPDATE events SET {SET} WHERE {HALF}"


class Database(Protocol):
    """A table `events` (id, created_at, status, score, payload) in one database."""

    name: str
    url: str
    rows: int
    """Rows at scale 1."""
    naive: str
    """The loop that everyone writes first; takes the number of rows."""
    snapshot: tuple[str, ...]
    """Statements that leave a transaction open which keeps the rows as they are now."""

    def version(self) -> str: ...

    def fill(self, rows: int) -> None:
        """Make the template with `rows` rows."""

    def renew(self) -> None:
        """Replace the table by a fresh copy of the template, everything written to disk, no ledger."""

    def connect(self) -> Any:
        """A DBAPI connection of its own to the table's database."""


Open = Callable[[], AbstractContextManager[Database]]
