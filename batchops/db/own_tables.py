"""What statements on batchops' own tables need: a clock, an INSERT that may come late, room for texts."""

from typing import Protocol

import sqlalchemy as sa

from batchops.db.storable_text import TextRoom


class OwnTables(Protocol):
    """How one database keeps the tables that are batchops' own."""

    def epoch(self) -> sa.ColumnElement[float]:
        """The server's clock in seconds since 1970."""

    def insert_once(self, table: sa.Table) -> sa.Insert:
        """An INSERT that leaves rows alone whose key is there already; its row count tells."""

    def text_room(self, connection: sa.Connection, schema: str | None, table: str, column: str) -> TextRoom:
        """What a text column can hold; `schema` None: of a table that batchops has made where new tables go."""
