"""Addresses in MySQL and MariaDB: integer keys, which the server packs into one text."""

from array import array
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from batchops.db.addresses import Numbers, TooManyAddressesError
from batchops.db.mysql.keys import base
from batchops.db.table import Table, quoted
from batchops.db.types import KeyValue

_WHOLE = ("tinyint", "smallint", "mediumint", "int", "integer", "bigint")
_MOST_BYTES = 8 << 20
"""The most bytes of one text: less than what a server sends in one row by default."""


class MySQLWholeKeys:
    """Addresses by integer columns, packed by `GROUP_CONCAT`.

    With a result row for each address, PyMySQL would take longer for it than the server takes to delete the row.
    """

    look_up = 3.0
    longest_list = 20_000

    def width(self, table: Table, names: Sequence[str]) -> int | None:
        columns = [table.column(name) for name in names]
        huge = any(base(column) == "bigint" and "unsigned" in column.type for column in columns)
        return len(names) if not huge and all(base(column) in _WHOLE for column in columns) else None

    def read(self, connection: sa.Connection, rows: sa.Select[Any]) -> Iterator["array[int]"]:
        connection.exec_driver_sql(f"SET SESSION group_concat_max_len = {_MOST_BYTES}")
        columns = list(rows.selected_columns)
        parts = [part for column in columns for part in (sa.literal_column("','"), column)][1:]
        count, packed = connection.execute(rows.with_only_columns(sa.func.count(), sa.func.group_concat(*parts))).one()
        if not count:
            return
        numbers = array("q", map(int, (packed or "").split(","))) if packed else array("q")
        if len(numbers) != count * len(columns) or len(packed) >= _MOST_BYTES:
            raise TooManyAddressesError
        yield numbers

    def among(self, table: Table, names: Sequence[str], addresses: "array[int]") -> sa.ColumnElement[bool]:
        """Return the condition with a list of literals: PyMySQL would write bound values into the text one by one."""
        columns = [table.called.c[quoted(name)] for name in names]
        width = len(columns)
        if width == 1:
            listed = ",".join(map(str, addresses))
        else:
            rows = zip(*(addresses[i::width] for i in range(width)), strict=True)
            listed = ",".join(f"({','.join(map(str, row))})" for row in rows)
        row = columns[0] if width == 1 else sa.tuple_(*columns)
        return row.op("IN", is_comparison=True, return_type=sa.Boolean())(sa.literal_column(f"({listed})"))

    def numbers(self, key: KeyValue) -> Numbers:
        return tuple(key)

    def key(self, numbers: Numbers) -> KeyValue:
        return tuple(numbers)
