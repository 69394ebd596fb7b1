"""Addresses in PostgreSQL: places of rows, and integer keys, which the server packs into one binary value."""

from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from sys import byteorder
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA
from sqlalchemy.types import UserDefinedType

from batchops.db.addresses import Numbers
from batchops.db.table import Table, quoted
from batchops.db.types import KeyValue

PLACE = "ctid"
_TID, _TID_ARRAY = 27, 1010
_OFFSET = 16
"""Bits of a place's number that hold the row's number in its block."""
_WHOLE = ("smallint", "integer", "bigint")
_HEAD = b"".join(number.to_bytes(4, "big") for number in (1, 0, _TID))
"""The header of a binary array of tid: one dimension, no NULLs."""
_ELEMENT = (6).to_bytes(4, "big") + bytes(6)


class TidList:
    """Places as the value of a statement: in the server's binary form, which is the fastest for it to read."""

    def __init__(self, places: "array[int]") -> None:
        self.places = places

    @property
    def binary(self) -> bytes:
        """The places as an array of tid in the server's binary form."""
        count = len(self.places)
        wide = _big_endian(self.places)
        elements = bytearray(_ELEMENT * count)
        for byte in range(6):
            elements[4 + byte :: 10] = wide[2 + byte :: 8]
        return b"".join((_HEAD, count.to_bytes(4, "big"), (1).to_bytes(4, "big"), elements))

    @property
    def text(self) -> str:
        """The places as an array of tid in text form."""
        return "{" + ",".join(f'"{_place(place)}"' for place in self.places) + "}"


def _place(place: int) -> str:
    """Return a place as the server writes it."""
    return f"({place >> _OFFSET},{place & 0xFFFF})"


class _TidListDumper(Dumper):
    format = Format.BINARY
    oid = _TID_ARRAY

    def dump(self, obj: TidList) -> Buffer:
        return obj.binary


class _TidTextDumper(Dumper):
    """Dumps places as text for a COPY, as the driver itself writes the values into its statement."""

    oid = _TID_ARRAY

    def dump(self, obj: TidList) -> Buffer:
        return obj.text.encode()


def register(connection: "psycopg.Connection[Any]") -> None:
    """Let this connection take a `TidList` as a value."""
    connection.adapters.register_dumper(TidList, _TidTextDumper)
    connection.adapters.register_dumper(TidList, _TidListDumper)


class _TidArray(UserDefinedType[Any]):
    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "tid[]"

    def literal_processor(self, dialect: sa.Dialect) -> Callable[[Any], str]:  # noqa: ARG002  the type's shape
        return lambda value: f"'{value.text}'"


def _big_endian(numbers: "array[int]") -> bytes:
    """Return the numbers as eight bytes each, with the highest byte first."""
    if byteorder == "little":
        numbers = array("q", numbers)
        numbers.byteswap()
    return numbers.tobytes()


def _numbers(wide: bytes | bytearray) -> "array[int]":
    numbers = array("q")
    numbers.frombytes(wide)
    if byteorder == "little":
        numbers.byteswap()
    return numbers


def _places(packed: bytes) -> "array[int]":
    """Return the places that are packed with six bytes each."""
    wide = bytearray(len(packed) // 6 * 8)
    for byte in range(6):
        wide[2 + byte :: 8] = packed[byte::6]
    return _numbers(wide)


def _packed(connection: sa.Connection, rows: sa.Select[Any], parts: Sequence[sa.ColumnElement[bytes]]) -> bytes:
    """Return the parts of all rows, concatenated in one value.

    With a result row for each address, the driver would take longer for it than the server takes to delete the row.
    """
    row = reduce(lambda before, part: before.op("||", return_type=BYTEA())(part), parts)
    packed = sa.func.string_agg(row, sa.literal_column("''::bytea"), type_=BYTEA)
    return connection.execute(rows.with_only_columns(packed)).scalar_one() or b""


class HeapPlaces:
    """Addresses by ctid: the number of the block, and sixteen bits for the row in the block."""

    look_up = 2.5
    longest_list = 100_000

    def width(self, table: Table, names: Sequence[str]) -> int | None:  # noqa: ARG002  every heap has places
        return 1 if tuple(names) == (PLACE,) else None

    def read(self, connection: sa.Connection, rows: sa.Select[Any]) -> Iterator["array[int]"]:
        parts = [sa.func.tidsend(column, type_=BYTEA) for column in rows.selected_columns]
        yield _places(_packed(connection, rows, parts))

    def among(self, table: Table, names: Sequence[str], addresses: "array[int]") -> sa.ColumnElement[bool]:  # noqa: ARG002
        """Return the condition with the list in a sub-select.

        With the list itself, the planner counts each look-up as a read from disk, and reads the whole table instead.
        """
        given = sa.cast(sa.bindparam(None, TidList(addresses), _TidArray()), _TidArray())
        listed = sa.cast(sa.select(given).scalar_subquery(), _TidArray())
        return sa.literal_column(PLACE) == sa.func.any(listed)

    def numbers(self, key: KeyValue) -> Numbers:
        block, row = key[0].strip("()").split(",")
        return (int(block) << _OFFSET | int(row),)

    def key(self, numbers: Numbers) -> KeyValue:
        return (_place(numbers[0]),)


class PostgreSQLWholeKeys:
    """Addresses by columns that are whole numbers."""

    look_up = 4.0
    longest_list = 100_000

    def width(self, table: Table, names: Sequence[str]) -> int | None:
        return len(names) if all(table.column(name).type in _WHOLE for name in names) else None

    def read(self, connection: sa.Connection, rows: sa.Select[Any]) -> Iterator["array[int]"]:
        wide = [sa.func.int8send(sa.cast(column, sa.BigInteger), type_=BYTEA) for column in rows.selected_columns]
        yield _numbers(_packed(connection, rows, wide))

    def among(self, table: Table, names: Sequence[str], addresses: "array[int]") -> sa.ColumnElement[bool]:
        width = len(names)
        arrays = [
            sa.cast(sa.bindparam(None, addresses[i::width].tolist(), ARRAY(sa.BigInteger)), ARRAY(sa.BigInteger))
            for i in range(width)
        ]
        if width == 1:
            return table.called.c[quoted(names[0])] == sa.func.any(arrays[0])
        listed = sa.func.unnest(*arrays).table_valued(*(f"k{i}" for i in range(width))).render_derived()
        return sa.tuple_(*(table.called.c[quoted(name)] for name in names)).in_(sa.select(*listed.c))

    def numbers(self, key: KeyValue) -> Numbers:
        return tuple(int(value) for value in key)

    def key(self, numbers: Numbers) -> KeyValue:
        return tuple(str(number) for number in numbers)
