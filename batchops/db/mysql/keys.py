"""Keys in MySQL and MariaDB: the driver's own values."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from batchops.db.midpoint import midpoint
from batchops.db.table import Column, Table, quoted
from batchops.db.types import KeyValue
from batchops.db.value_formats import span

_REFUSED = {
    "enum": "orders by position, compares as text",
    "set": "orders by bits, compares as text",
    "float": "is not found again by the value that is shown of it",
    "bit": "compares as a number and reads as bytes",
    "json": "has no exact order",
    "geometry": "has no order",
}

BINARY = ("binary", "varbinary", "blob", "tinyblob", "mediumblob", "longblob", "bit", "geometry")
"""Types whose values are bytes."""


def refusal(column: Column) -> str | None:
    """Types whose order and comparison disagree, or that do not come back exactly."""
    kind = base(column)
    return f"type {kind} {_REFUSED[kind]}" if kind in _REFUSED else None


def out(table: Table, name: str) -> sa.ColumnElement[Any]:
    """The key column as it is."""
    return table.called.c[quoted(name)]


def exact(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """As it is."""
    return column


order = out


def between(table: Table, names: Sequence[str], low: KeyValue, high: KeyValue) -> KeyValue | None:  # noqa: ARG001
    """Halfway by number where the first column is a whole one; the other columns' values only have to be valid."""
    middle = midpoint(low, high) if type(low[0]) is int else None
    return None if middle is None else (middle, *low[1:])


def value(value: Any) -> Any:
    """The driver's value."""
    return value


def text_of(table: Table, name: str) -> sa.ColumnElement[str]:
    """The column as text, the same for the same value alone; bytes, which are no text, in hexadecimal digits."""
    column, kind = table.called.c[quoted(name)], base(table.column(name))
    shown = sa.func.lower(sa.func.hex(column)) if kind in BINARY else column
    converted: sa.ColumnElement[str] = sa.func.convert(
        shown.op("USING")(sa.literal_column("utf8mb4")), type_=sa.String()
    )
    return sa.collate(converted, "utf8mb4_bin")


def base(column: Column) -> str:
    """Its type without length and attributes."""
    return column.type.split("(")[0].split(" ")[0].lower()


def _sent(sent: Any) -> Any:
    """A TIME goes as text: PyMySQL writes a negative one wrong, and SQLAlchemy takes it for a date in a list."""
    return span(sent) if isinstance(sent, timedelta) else sent


def _spelled(table: Table, names: Sequence[str], key: KeyValue, last: str) -> sa.ColumnElement[bool]:
    """(a, b) > (x, y) as an OR: MariaDB uses the index for this and scans by the row comparison."""
    columns = [table.called.c[quoted(name)] for name in names]
    values: list[sa.ColumnElement[Any]] = [sa.bindparam(None, _sent(v)) for v in key]
    strict = last[0]
    turns = []
    for i, (column, own) in enumerate(zip(columns, values, strict=True)):
        same = [c == v for c, v in zip(columns[:i], values[:i], strict=True)]
        turns.append(sa.and_(*same, column.op(last if i == len(columns) - 1 else strict)(own)))
    return turns[0] if len(turns) == 1 else sa.or_(*turns)


def after(table: Table, names: Sequence[str], key: KeyValue) -> sa.ColumnElement[bool]:
    """Rows behind the key."""
    return _spelled(table, names, key, ">")


def since(table: Table, names: Sequence[str], key: KeyValue) -> sa.ColumnElement[bool]:
    """Rows from the key on."""
    return _spelled(table, names, key, ">=")


def upto(table: Table, names: Sequence[str], key: KeyValue) -> sa.ColumnElement[bool]:
    """Rows up to and with the key."""
    return _spelled(table, names, key, "<=")


def among(table: Table, names: Sequence[str], keys: Sequence[KeyValue]) -> sa.ColumnElement[bool]:
    """A list of values; spelled out where the key has several columns, for the optimiser again."""
    columns = [table.called.c[quoted(name)] for name in names]
    if len(columns) == 1:
        return columns[0].in_([_sent(key[0]) for key in keys])
    return sa.or_(
        *(sa.and_(*(c == sa.bindparam(None, _sent(v)) for c, v in zip(columns, k, strict=True))) for k in keys)
    )
