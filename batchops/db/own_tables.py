"""What statements on batchops' own tables need: a clock, an INSERT that may come late, room for texts."""

from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import ExecutableDDLElement

from batchops.db.storable_text import TextRoom


class OwnTables(Protocol):
    """How one database keeps the tables that are batchops' own."""

    def epoch(self) -> sa.ColumnElement[float]:
        """The server's clock in seconds since 1970."""

    def insert_once(self, table: sa.Table) -> sa.Insert:
        """An INSERT that leaves rows alone whose key is there already; its row count tells."""

    def text_room(self, connection: sa.Connection, schema: str | None, table: str, column: str) -> TextRoom:
        """What a text column can hold; `schema` None: of a table that batchops has made where new tables go."""


class TableRename(ExecutableDDLElement):
    """ALTER TABLE … RENAME TO, in the schema where the table is."""

    inherit_cache = False

    def __init__(self, table: sa.Table, name: str) -> None:
        self.table, self.name = table, name


@compiles(TableRename)
def _renamed(element: TableRename, compiler: Any, **_: Any) -> str:
    table = compiler.preparer.format_table(element.table)
    return f"ALTER TABLE {table} RENAME TO {compiler.preparer.quote(element.name)}"
