"""Claims in SQLite, which has one writer at a time, from BEGIN IMMEDIATE on."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import sqlalchemy as sa

from batchops.db.byte_limit import RowBytes
from batchops.db.claims import (
    OrderBy,
    joined,
    nulls_placed,
)
from batchops.db.keyed_claims import KeyedClaims
from batchops.db.keys import Keys
from batchops.db.sqlite import keys
from batchops.db.sqlite.keys import SQLiteKeys
from batchops.db.table import Column, Table, quoted
from batchops.db.types import KeyValue

_NOW = "(julianday('now') - 2440587.5) * 86400.0"
_MOMENTS = ("date", "time")
_AFFINITIES = {
    "text": ("CHAR", "CLOB", "TEXT"),
    "long text": ("CHAR", "CLOB", "TEXT"),
    "number": ("REAL", "FLOA", "DOUB"),
    "count": ("INT",),
}


class SQLiteClaims(KeyedClaims):
    """Claims within BEGIN IMMEDIATE, and changes by UPDATE … RETURNING."""

    row_keys: Keys = SQLiteKeys()

    types: Mapping[str, str] = {
        "text": "TEXT", "long text": "TEXT", "number": "REAL", "count": "INTEGER NOT NULL DEFAULT 0",
    }  # fmt: skip

    def refusal(self, connection: sa.Connection, table: Table) -> str | None:  # noqa: ARG002  the protocol's shape
        version: str = connection.exec_driver_sql("SELECT sqlite_version()").scalar_one()
        if tuple(map(int, version.split("."))) >= (3, 35):
            return None
        return f"SQLite {version} does not know UPDATE … RETURNING; it came with 3.35"

    def now(self) -> sa.ColumnElement[float]:
        return sa.literal_column(_NOW, sa.Double())

    def free(self, select: sa.Select[Any]) -> sa.Select[Any]:
        return select

    def ordered(self, table: Table, by: OrderBy) -> Sequence[sa.ColumnElement[Any]]:
        column = table.called.c[quoted(by.column)]
        return [nulls_placed(column.desc() if by.down else column.asc(), by.nulls)]

    def change(
        self, connection: sa.Connection, table: Table, names: Sequence[str], statement: sa.Update | sa.Delete
    ) -> Sequence[KeyValue]:
        labelled = [keys.out(table, name).label(f"c{i}") for i, name in enumerate(names)]
        rows = connection.execute(statement.returning(*labelled)).all()
        return [tuple(row) for row in rows]

    def row_name(self, table: Table, names: Sequence[str]) -> sa.ColumnElement[str]:
        return joined([_named(keys.out(table, one)) for one in names], _length)

    def key_from_text(self, column: Column, text: str) -> Any:
        kind = column.type.upper()
        if "BLOB" in kind and re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", text):
            return bytes.fromhex(text)
        if text[:2].lower() == "x'" and text.endswith("'"):
            return bytes.fromhex(text[2:-1])
        # A column with a type converts values to compare; a column without a type does not.
        return _number(text) if kind in ("", "BLOB", "ANY") else text

    def row_bytes(self, table: Table, names: Sequence[str]) -> RowBytes:
        of_row: sa.ColumnElement[int] = sa.literal_column("0", sa.BigInteger())
        for name in names:
            value = sa.cast(keys.out(table, name), sa.LargeBinary)
            of_row = of_row + sa.func.coalesce(sa.func.length(value), 0)
        return RowBytes(of_row, None if names else 0)

    def serves(self, column: Column, kind: str, width: int) -> bool:  # noqa: ARG002  SQLite ignores widths
        type_ = column.type.upper()
        return not (type_ or kind == "count") or any(word in type_ for word in _AFFINITIES[kind])

    def most(self, column: Column) -> int:  # noqa: ARG002  every integer has 64 bits
        return 2**63 - 1

    def is_own(self, column: Column, kind: str) -> bool:
        return self.types[kind].startswith(column.type.upper()) and bool(column.type)

    def check_at_once(self, connection: sa.Connection) -> None:
        pass  # only COMMIT checks deferred foreign keys

    def kept(self, table: Table, name: str) -> sa.ColumnElement[Any]:
        return keys.out(table, name)

    def restored(self, column: Column, kept: Any) -> sa.ColumnElement[Any]:  # noqa: ARG002  values have their own type
        return sa.bindparam(None, kept, keys.Untyped())

    def age(self, column: Column, value: sa.ColumnElement[Any]) -> sa.ColumnElement[float] | None:
        if column.type and not any(word in column.type.lower() for word in _MOMENTS):
            return None
        return (sa.func.julianday("now") - sa.func.julianday(value)) * sa.literal_column("86400.0", sa.Double())


def _named(value: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
    """Return the value as text with its kind: 1, '1' and x'31' may be three keys in one column."""
    kind = sa.func.typeof(value)
    return sa.case(
        (kind == "integer", sa.cast(value, sa.Text)),
        (kind == "text", sa.literal("'", sa.Text).concat(sa.cast(value, sa.Text))),
        else_=sa.func.quote(value),
    )


def _length(part: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """Return the length in bytes: SQLite counts characters only up to the first NUL."""
    return sa.cast(sa.func.length(sa.cast(part, sa.LargeBinary)), sa.Text)


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text
