"""Keys by text in MySQL and MariaDB. Left to itself the server reads `12abc` as 12, and any text as some date."""

import ipaddress
import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from batchops.db.key_lookup import matched, readings, selecting, uuid_bytes
from batchops.db.mysql import keys
from batchops.db.table import Table
from batchops.db.types import KeyValue

_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "integer": 32, "bigint": 64}
_ZERO = re.compile(r"(?:0000-00-00|[0-9]{4}-[0-9]{2}-00|[0-9]{4}-00-00)([ T]00:00:00(\.0+)?)?")
"""Dates of the server's own, which no calendar has."""
_SPAN = re.compile(r"-?\d{1,3}:[0-5]?\d(:[0-5]?\d(\.\d{1,6})?)?")


def look_up(
    connection: sa.Connection,
    table: Table,
    names: Sequence[str],
    texts: Sequence[tuple[str, ...]],
    key: Sequence[str],
) -> list[tuple[int, KeyValue]]:
    """As the family says."""
    wanted = [readings(table, names, text, _read) for text in texts]
    own, of_key = [[keys.out(table, name) for name in some] for some in (names, key)]
    return matched(wanted, selecting(connection, table, own, of_key, lambda some: keys.among(table, names, some)))


def _read(table: Table, name: str, text: str) -> Sequence[Any]:
    column = table.column(name)
    kind = keys.base(column)
    if kind in _BITS:
        return (_whole(text, _BITS[kind], unsigned="unsigned" in column.type),)
    if kind in keys.BINARY:
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
