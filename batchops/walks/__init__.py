"""How rows are followed: one file per walk."""

from typing import Protocol

import sqlalchemy as sa

from batchops.walks.cursor import Cursor
from batchops.walks.part import Part, Size


class Walk(Protocol):
    """Pulled inside the transaction that works on what it gives, so that a retry simply asks again."""

    name: str

    def begin(self, connection: sa.Connection) -> Cursor:
        """The whole way, its end fixed now."""

    def next(self, connection: sa.Connection, cursor: Cursor, size: Size) -> Part | None:
        """The part behind `cursor`; None once nothing is left."""
