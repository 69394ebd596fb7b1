"""Keys in MySQL and MariaDB: values as the driver gives them."""

import ipaddress
import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from batchops.db.keys import Written, look_up, midpoint, uuid_bytes
from batchops.db.table import Column, Table, quoted
from batchops.db.types import KeyValue
from batchops.db.value_formats import span

LONGEST_LIST = 1_000
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
_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "integer": 32, "bigint": 64}
_ZERO = re.compile(r"(?:0000-00-00|[0-9]{4}-[0-9]{2}-00|[0-9]{4}-00-00)([ T]00:00:00(\.0+)?)?")
"""Dates that only the server has and no calendar: zero dates, month 0 and day 0."""
_SPAN = re.compile(r"-?\d{1,3}:[0-5]?\d(:[0-5]?\d(\.\d{1,6})?)?")


def refusal(column: Column) -> str | None:
    """Return why the type cannot be followed: its order and comparison disagree, or its values are not read exactly."""
    kind = base(column)
    return f"type {kind} {_REFUSED[kind]}" if kind in _REFUSED else None


def out(table: Table, name: str) -> sa.ColumnElement[Any]:
    """Return the key column unchanged."""
    return table.called.c[quoted(name)]


def exact(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Return the column unchanged."""
    return column


order = out


BY_INDEX = "FORCE INDEX (PRIMARY)"


def by_index(table: Table, names: Sequence[str], statement: Written) -> Written:
    """Return the statement with a hint to use the primary key, if that is the key.

    Otherwise the server scans a small table, and waits for each row that others have locked.
    """
    if not any(key.primary and key.columns == tuple(names) for key in table.keys):
        return statement
    hinted = statement.with_hint(BY_INDEX, table.called)
    # A DELETE takes a hint only if it names the table that it deletes from (DELETE t FROM t …).
    return hinted.prefix_with(_name(table)) if isinstance(hinted, sa.Delete) else hinted


def _name(table: Table) -> sa.ColumnElement[Any]:
    name = quoted(table.alias or table.name)
    if table.alias is not None or table.schema is None:
        return sa.column(name)
    return sa.table(quoted(table.schema), sa.column(name)).c[name]


def between(table: Table, names: Sequence[str], low: KeyValue, high: KeyValue) -> KeyValue | None:  # noqa: ARG001
    """Return a key halfway by the first column's whole numbers, else None; other columns keep the values of `low`."""
    middle = midpoint(low, high) if type(low[0]) is int else None
    return None if middle is None else (middle, *low[1:])


def text_of(table: Table, name: str) -> sa.ColumnElement[str]:
    """Return the column as text, which differs for different values; bytes are written in hexadecimal digits."""
    column, kind = table.called.c[quoted(name)], base(table.column(name))
    shown = sa.func.lower(sa.func.hex(column)) if kind in BINARY else column
    converted: sa.ColumnElement[str] = sa.func.convert(
        shown.op("USING")(sa.literal_column("utf8mb4")), type_=sa.String()
    )
    return sa.collate(converted, "utf8mb4_bin")


def base(column: Column) -> str:
    """Return the column's type without length and attributes."""
    return column.type.split("(")[0].split(" ")[0].lower()


def _as_sent(sent: Any) -> Any:
    """Return the value as it is to be sent: a TIME as text.

    PyMySQL writes a negative TIME wrong, and SQLAlchemy treats one in a list as a date.
    """
    return span(sent) if isinstance(sent, timedelta) else sent


def _compared(table: Table, names: Sequence[str], key: KeyValue, last: str) -> sa.ColumnElement[bool]:
    """Return (a, b) > (x, y) written as an OR, for which MariaDB uses the index; a row comparison makes it scan."""
    columns = [table.called.c[quoted(name)] for name in names]
    values: list[sa.ColumnElement[Any]] = [sa.bindparam(None, _as_sent(v)) for v in key]
    strict = last[0]
    alternatives = []
    for i, (column, own) in enumerate(zip(columns, values, strict=True)):
        same = [c == v for c, v in zip(columns[:i], values[:i], strict=True)]
        alternatives.append(sa.and_(*same, column.op(last if i == len(columns) - 1 else strict)(own)))
    return alternatives[0] if len(alternatives) == 1 else sa.or_(*alternatives)


def after(table: Table, names: Sequence[str], key: KeyValue) -> sa.ColumnElement[bool]:
    """Return the condition for the rows after the key."""
    return _compared(table, names, key, ">")


def since(table: Table, names: Sequence[str], key: KeyValue) -> sa.ColumnElement[bool]:
    """Return the condition for the rows from the key on, with that row."""
    return _compared(table, names, key, ">=")


def upto(table: Table, names: Sequence[str], key: KeyValue) -> sa.ColumnElement[bool]:
    """Return the condition for the rows up to the key, with that row."""
    return _compared(table, names, key, "<=")


def among(table: Table, names: Sequence[str], keys: Sequence[KeyValue]) -> sa.ColumnElement[bool]:
    """Return the condition as a list of values; for several columns with ORs, so that the server uses the index."""
    columns = [table.called.c[quoted(name)] for name in names]
    if len(columns) == 1:
        return columns[0].in_([_as_sent(key[0]) for key in keys])
    return sa.or_(
        *(sa.and_(*(c == sa.bindparam(None, _as_sent(v)) for c, v in zip(columns, k, strict=True))) for k in keys)
    )


def _read(table: Table, name: str, text: str) -> Sequence[Any]:
    column = table.column(name)
    kind = base(column)
    if kind in _BITS:
        return (_whole(text, _BITS[kind], unsigned="unsigned" in column.type),)
    if kind in BINARY:
        uuid = uuid_bytes(text) if kind != "binary" or column.type.lower() == "binary(16)" else None
        return (bytes.fromhex(text.strip().removeprefix("0x")) if uuid is None else uuid,)
    read = _READERS.get(kind)
    return (text if read is None else read(text.strip()),)


def _whole(text: str, bits: int, *, unsigned: bool) -> int:
    number = int(text) if re.fullmatch(r"\s*[+-]?\d+\s*", text, re.ASCII) else None
    low, high = (0, 2**bits) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    if number is None or not low <= number < high:
        raise ValueError(text)
    return number


def _decimal(text: str) -> Decimal:
    number = Decimal(text)
    if not number.is_finite():
        raise ValueError(text)
    return number


def _day(text: str) -> date | str:
    return text if _ZERO.fullmatch(text) else date.fromisoformat(text)


def _moment(text: str) -> datetime | str:
    if _ZERO.fullmatch(text):
        return text
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        raise ValueError(text)
    return moment


def _span(text: str) -> str:
    if not _SPAN.fullmatch(text):
        raise ValueError(text)
    return text


_READERS: dict[str, Callable[[str], Any]] = {
    "decimal": _decimal,
    "numeric": _decimal,
    "double": float,
    "year": int,
    "date": _day,
    "datetime": _moment,
    "timestamp": _moment,
    "time": _span,
    "uuid": lambda text: str(UUID(text)),
    "inet4": lambda text: str(ipaddress.IPv4Address(text)),
    "inet6": lambda text: str(ipaddress.IPv6Address(text)),
}


class MySQLKeys:
    """The keys of MySQL and MariaDB, from the functions of this module."""

    row_id_moves = False
    limits_deletes = True
    in_order = 1.3
    longest_list = LONGEST_LIST
    refusal = staticmethod(refusal)
    out = staticmethod(out)
    exact = staticmethod(exact)
    order = staticmethod(order)
    after = staticmethod(after)
    since = staticmethod(since)
    upto = staticmethod(upto)
    among = staticmethod(among)
    by_index = staticmethod(by_index)
    between = staticmethod(between)

    def row_id(self, table: Table) -> str | None:  # noqa: ARG002  no table has one
        return None

    def look_up(
        self, connection: sa.Connection, table: Table, names: Sequence[str], texts: Sequence[tuple[str, ...]],
        key: Sequence[str],
    ) -> list[tuple[int, KeyValue]]:  # fmt: skip
        return look_up(self, _read, connection, table, names, texts, key)
