"""What statements on batchops' own tables need: a clock, an INSERT that skips existing rows, the size of texts."""

from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import ExecutableDDLElement

from batchops.db.storable_text import TextRoom


class OwnTables(Protocol):
    """How one database keeps the tables that are batchops' own."""

    def epoch(self) -> sa.ColumnElement[float]:
        """Return the server's current time in seconds since 1970."""

    def insert_once(self, table: sa.Table) -> sa.Insert:
        """Return an INSERT that skips rows whose key exists already; its row count counts the inserted ones alone."""

    def text_room(self, connection: sa.Connection, schema: str | None, table: str, column: str) -> TextRoom:
        """Return what a text column can hold; `schema` None means the schema in which batchops makes its tables."""


class TableRename(ExecutableDDLElement):
    """ALTER TABLE … RENAME TO: the table stays in its schema."""

    inherit_cache = False

    def __init__(self, table: sa.Table, name: str) -> None:
        self.table, self.name = table, name


@compiles(TableRename)
def _renamed(element: TableRename, compiler: Any, **_: Any) -> str:
    table = compiler.preparer.format_table(element.table)
    return f"ALTER TABLE {table} RENAME TO {compiler.preparer.quote(element.name)}"
