"""Addresses in SQLite: integer keys."""

import json
from array import array
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import sqlalchemy as sa

from batchops.db.addresses import Numbers
from batchops.db.sqlite.keys import Untyped, out
from batchops.db.table import Table
from batchops.db.types import KeyValue
from batchops.errors import RefusedError

_AT_ONCE = 50_000


class SQLiteWholeKeys:
    """Addresses by columns that are declared as integers; a run that reads another value from one is refused."""

    look_up = 3.0
    longest_list = 100_000

    def width(self, table: Table, names: Sequence[str]) -> int | None:
        hidden = set(names).difference(table.column_names)  # the row number
        whole = all(name in hidden or "INT" in table.column(name).type.upper() for name in names)
        return len(names) if whole else None

    def read(self, connection: sa.Connection, rows: sa.Select[Any]) -> Iterator["array[int]"]:
        found = connection.execute(rows)
        try:
            for some in found.partitions(_AT_ONCE):
                yield array("q", chain.from_iterable(some))
        except TypeError as error:
            raise RefusedError(
                "A column of the key is declared as a whole number and holds something else.",
                "--strategy key follows any values.",
            ) from error

    def among(self, table: Table, names: Sequence[str], addresses: "array[int]") -> sa.ColumnElement[bool]:
        """Return the condition with the list as one JSON text: SQLite limits the number of values in a statement."""
        width = len(names)
        columns = [out(table, name) for name in names]
        flat = json.dumps(addresses.tolist() if width == 1 else list(zip(*_columns(addresses, width), strict=True)))
        listed = sa.func.json_each(sa.bindparam(None, flat, Untyped())).table_valued("value")
        if width == 1:
            return columns[0].in_(sa.select(listed.c.value))
        values = [sa.func.json_extract(listed.c.value, sa.literal_column(f"'$[{i}]'")) for i in range(width)]
        return sa.tuple_(*columns).in_(sa.select(*values))

    def numbers(self, key: KeyValue) -> Numbers:
        return tuple(key)

    def key(self, numbers: Numbers) -> KeyValue:
        return tuple(numbers)


def _columns(addresses: "array[int]", width: int) -> list["array[int]"]:
    return [addresses[i::width] for i in range(width)]
