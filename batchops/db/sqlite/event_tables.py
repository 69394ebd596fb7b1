"""How SQLite makes and reads event tables; with one writer, events are committed in the order of their numbers."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from batchops.db.event_tables import EventTables
from batchops.db.table import Column, Table, quoted

HASH = "batchops_hash"
_LIST = 5_000


def hashed(text: object) -> int:
    """Return a hash of the text, registered as a function with every connection, as SQLite has no hash function."""
    return zlib.crc32(str(text).encode()) & 0x7FFFFFFF


class SQLiteEvents:
    """Uses partial indexes; no locks are needed, as SQLite has one writer."""

    # AUTOINCREMENT: otherwise another event would get the number of a deleted last row.
    types: Mapping[str, str] = {
        "id": "INTEGER PRIMARY KEY AUTOINCREMENT", "name": "TEXT NOT NULL", "text": "TEXT", "binary": "BLOB",
        "json": "TEXT", "created": "TIMESTAMP NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now'))",
        "sent": "TIMESTAMP",
    }  # fmt: skip
    unsent_index = "({id}) WHERE {sent} IS NULL"
    lock_rows = 0

    def is_number(self, column: Column) -> bool:
        return "int" in column.type.lower()

    def text(self, table: Table, name: str) -> sa.ColumnElement[str]:
        column = table.called.c[quoted(name)]
        kind, as_hex = sa.func.typeof(column), sa.func.lower(sa.func.hex(column))
        # A real converted to text has 15 digits; quote() writes all of them.
        return sa.case(
            (kind == "blob", as_hex), (kind == "real", sa.func.quote(column)), else_=sa.cast(column, sa.Text)
        )

    def among(self, table: Table, name: str, ids: Sequence[Any]) -> Iterator[sa.ColumnElement[bool]]:
        for start in range(0, len(ids), _LIST):
            yield table.called.c[quoted(name)].in_(ids[start : start + _LIST])

    def content(self, table: Table, name: str) -> sa.ColumnElement[Any]:
        return table.called.c[quoted(name)]

    def is_document(self, column: Column) -> bool:  # noqa: ARG002  a document is a text here
        return False

    def hashed(self, text: sa.ColumnElement[str]) -> sa.ColumnElement[int]:
        return sa.func.batchops_hash(text, type_=sa.Integer())

    def writers(self, connection: sa.Connection, table: Table) -> frozenset[str] | None:  # noqa: ARG002  one writer
        return frozenset()

    def disorder(self, *_: object) -> str | None:
        return None

    def writer_lock(self, aggregates: Sequence[str]) -> tuple[str, Sequence[Any]] | None:  # noqa: ARG002  one writer
        return None


class SQLite3:
    """How to use sqlite3 in a user's own transaction."""

    quote, place, binary = '"', "?", ""
    events: EventTables = SQLiteEvents()

    def alone(self, connection: Any) -> bool:
        # In its older mode sqlite3 begins transactions itself; with autocommit=False (Python 3.12) one is always open.
        begins = getattr(connection, "autocommit", None) is False
        return connection.isolation_level is None and not connection.in_transaction and not begins
