"""Lists of rows in MySQL and MariaDB: made by CREATE TABLE … SELECT, with a digest of the row as its proof."""

from typing import Any

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.db.mysql.keys import base
from batchops.db.planner import prefixed
from batchops.db.row_lists import key_columns
from batchops.db.table import Column, Table, count_rows, quoted, table_name

_BITS: sa.ColumnElement[int] = sa.literal_column("256")
_NUMBERS = ("tinyint", "smallint", "mediumint", "int", "integer", "bigint", "decimal", "numeric", "double", "year")
_MOMENTS = ("date", "time", "datetime")
_NULL = "-"


class MySQLRowLists:
    """Makes lists by CREATE TABLE … SELECT, which at READ COMMITTED reads one snapshot and locks no rows there."""

    joins = True
    merges = False

    def proof(self, table: Table) -> sa.ColumnElement[Any]:
        """Return the SHA-256 of all columns except those that the server computes itself."""
        parts = [_exact_text(table, table.column(name)) for name in table.writable_names]
        return sa.func.unhex(sa.func.sha2(sa.func.concat_ws(sa.literal_column("','"), *parts), _BITS))

    def follows(self, values: int) -> bool:
        """Whether at most one value is set: later values of a plain UPDATE see earlier ones, those of a join do not."""
        return values <= 1

    def store(self, database: Database, listed: Table, rows: sa.Select[Any]) -> int:
        """Make the table, which commits by itself: until the ledger records it, it belongs to no run."""
        name = table_name(database.engine.dialect, listed)
        key = key_columns(database.engine.dialect, listed)
        with database.transaction() as connection:
            prefixed(connection, rows, f"CREATE TABLE {name} (PRIMARY KEY ({key})) ENGINE=InnoDB AS")
        with database.transaction() as connection:
            return count_rows(connection, listed.clause)


def _exact_text(table: Table, column: Column) -> sa.ColumnElement[Any]:
    """Return the column as digits, or as the digest of its bytes: different values have different texts."""
    value, kind = table.called.c[quoted(column.name)], base(column)
    exact: sa.ColumnElement[Any] = value
    if kind == "float":  # as text it would be rounded
        exact = sa.cast(value, sa.Double)
    elif kind == "timestamp":  # as text it would depend on the session's zone
        exact = sa.func.unix_timestamp(value)
    elif kind in ("enum", "set", "bit"):  # as text a value without a label would look like one with a label
        exact = value + sa.literal_column("0")
    elif kind not in (*_NUMBERS, *_MOMENTS):
        exact = sa.func.sha2(sa.func.hex(value) if kind in _SHAPES else value, _BITS)
    return sa.func.coalesce(exact, sa.literal_column(f"'{_NULL}'"))


_SHAPES = ("geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon",
           "geometrycollection", "geomcollection")  # fmt: skip
