"""Keys in PostgreSQL: exact as the server's own text, cast back to the column's type.

Text is exact for every type that has an order: infinity, NaN, numeric scale, bits and enums included.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import UserDefinedType

from batchops.db.midpoint import midpoint
from batchops.db.table import Column, Table, quoted
from batchops.db.types import KeyValue

_NO_ORDER = ("json", "xml", "point", "box", "polygon", "path", "line", "lseg", "circle", "money")


class Named(UserDefinedType[Any]):
    """A type by the catalog's own spelling (format_type)."""

    cache_ok = True

    def __init__(self, spelling: str) -> None:
        self.spelling = spelling

    def get_col_spec(self, **_: Any) -> str:
        return self.spelling


def refusal(column: Column) -> str | None:
    """Money prints by locale and loses it on the way back; the others have no order."""
    return f"type {column.type} has no exact order" if column.type in _NO_ORDER else None


def out(table: Table, name: str) -> sa.ColumnElement[Any]:
    """The key column as text."""
    return exact(_column(table, name))


def exact(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """The server's own text."""
    return sa.cast(column, sa.Text)


def order(table: Table, name: str) -> sa.ColumnElement[Any]:
    """The bare column: its text sorts otherwise."""
    return _column(table, name)


def value(value: Any) -> Any:
    """Text is JSON already."""
    return value


def between(table: Table, names: Sequence[str], low: KeyValue, high: KeyValue) -> KeyValue | None:
    """Halfway by number where the first column is a whole one; the other columns' values only have to be valid."""
    if table.column(names[0]).type not in ("smallint", "integer", "bigint"):
        return None
    middle = midpoint(low, high)
    return None if middle is None else (str(middle), *low[1:])


def _column(table: Table, name: str) -> sa.ColumnElement[Any]:
    """A column, or the hidden place of a row."""
    return table.called.c[quoted(name)] if name in table.column_names else sa.literal_column(name)


def _type(table: Table, name: str) -> str:
    return table.column(name).type if name in table.column_names else "tid"


def _typed(table: Table, name: str, value: str) -> sa.ColumnElement[Any]:
    return sa.cast(sa.bindparam(None, value, sa.Text), Named(_type(table, name)))


def _row(table: Table, names: Sequence[str]) -> sa.ColumnElement[Any]:
    columns = [_column(table, name) for name in names]
    return columns[0] if len(columns) == 1 else sa.tuple_(*columns)


def _key(table: Table, names: Sequence[str], key: KeyValue) -> sa.ColumnElement[Any]:
    values = [_typed(table, name, value) for name, value in zip(names, key, strict=True)]
    return values[0] if len(values) == 1 else sa.tuple_(*values)


def after(table: Table, names: Sequence[str], key: KeyValue) -> sa.ColumnElement[bool]:
    """A row comparison, which PostgreSQL answers from the index."""
    return _row(table, names) > _key(table, names, key)


def since(table: Table, names: Sequence[str], key: KeyValue) -> sa.ColumnElement[bool]:
    """The same with its beginning."""
    return _row(table, names) >= _key(table, names, key)


def upto(table: Table, names: Sequence[str], key: KeyValue) -> sa.ColumnElement[bool]:
    """The same with its end."""
    return _row(table, names) <= _key(table, names, key)


def among(table: Table, names: Sequence[str], keys: Sequence[KeyValue]) -> sa.ColumnElement[bool]:
    """One array a column, so that no number of keys runs out of parameters."""
    types = [_type(table, name) for name in names]
    texts = [sa.bindparam(None, [key[i] for key in keys], ARRAY(sa.Text)) for i in range(len(names))]
    nested = [type.endswith("]") for type in types]  # arrays of arrays come apart to their last elements
    arrays = [
        sa.cast(text, sa.ARRAY(sa.Text) if flat else Named(f"{type}[]"))
        for text, type, flat in zip(texts, types, nested, strict=True)
    ]
    if len(arrays) == 1 and not nested[0]:
        return _column(table, names[0]) == sa.func.any(arrays[0])
    listed = sa.func.unnest(*arrays).table_valued(*(f"k{i}" for i in range(len(names)))).render_derived()
    keys_listed = [
        sa.cast(column, Named(type)) if flat else column
        for column, type, flat in zip(listed.c, types, nested, strict=True)
    ]
    return _row(table, names).in_(sa.select(*keys_listed))
