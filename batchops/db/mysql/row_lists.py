"""Lists of rows in MySQL and MariaDB: CREATE TABLE … SELECT, and a digest of the row as its proof."""

from typing import Any

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.db.mysql.keys import base
from batchops.db.planner import prefixed
from batchops.db.row_lists import count, key_columns, table_name
from batchops.db.table import Column, Table, quoted

_BITS: sa.ColumnElement[int] = sa.literal_column("256")
_NUMBERS = ("tinyint", "smallint", "mediumint", "int", "integer", "bigint", "decimal", "numeric", "double", "year")
_MOMENTS = ("date", "time", "datetime")
_NULL = "-"


class MySQLRowLists:
    """At READ COMMITTED such a statement reads one snapshot, and locks no row of the table that it reads."""

    joins = True
    merges = False

    def proof(self, table: Table) -> sa.ColumnElement[Any]:
        """SHA-256 over all columns but those that the server computes itself."""
        parts = [_part(table, column) for column in table.columns if not column.generated]
        return sa.func.unhex(sa.func.sha2(sa.func.concat_ws(sa.literal_column("','"), *parts), _BITS))

    def follows(self, values: int) -> bool:
        """Of several values that a plain UPDATE sets, one sees those before it; with a join none does."""
        return values <= 1

    def store(self, database: Database, listed: Table, rows: sa.Select[Any]) -> int:
        """The server ends the transaction with the table: until the ledger has it, it is nobody's."""
        name = table_name(database.engine.dialect, listed)
        key = key_columns(database.engine.dialect, listed)
        with database.transaction() as connection:
            prefixed(connection, rows, f"CREATE TABLE {name} (PRIMARY KEY ({key})) ENGINE=InnoDB AS")
        with database.transaction() as connection:
            return count(connection, listed)


def _part(table: Table, column: Column) -> sa.ColumnElement[Any]:
    """The column as digits, or as the digest of its bytes: whatever it holds, no other values give the same."""
    value, kind = table.called.c[quoted(column.name)], base(column)
    exact: sa.ColumnElement[Any] = value
    if kind == "float":  # shown rounded otherwise
        exact = sa.cast(value, sa.Double)
    elif kind == "timestamp":  # shown in the session's zone
        exact = sa.func.unix_timestamp(value)
    elif kind in ("enum", "set", "bit"):  # a label may be shown for none
        exact = value + sa.literal_column("0")
    elif kind not in (*_NUMBERS, *_MOMENTS):
        exact = sa.func.sha2(sa.func.hex(value) if kind in _SHAPES else value, _BITS)
    return sa.func.coalesce(exact, sa.literal_column(f"'{_NULL}'"))


_SHAPES = ("geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon",
           "geometrycollection", "geomcollection")  # fmt: skip
