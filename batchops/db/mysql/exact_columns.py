"""MariaDB's and MySQL's values as exact text; types with values that a file's types lack (zero dates …) are text."""

import re
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.mysql import DOUBLE

from batchops.db.exact_columns import ExactColumn, ExactKind
from batchops.db.table import Column, Table, quoted

_DETAILS = sa.text("""
SELECT column_name AS name, extra LIKE '%auto_increment%' AS own_number, collation_name AS order_of_text
FROM information_schema.columns WHERE table_schema = coalesce(:schema, database()) AND table_name = :name
""")
_WHOLE = {"tinyint": 8, "smallint": 16, "mediumint": 32, "int": 32, "integer": 32, "bigint": 64}
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")
_BYTES = (
    "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "geometry", "point", "linestring", "polygon",
    "multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection", "vector",
)  # fmt: skip
_MOMENTS = ("date", "datetime", "timestamp", "time", "year")
_SERVERS = ("json", "inet4", "inet6", "uuid")
"""Types that the driver may return as something else than the server's own text."""


class MySQLExactColumns:
    """Tells how a column's values are written as text by its column_type."""

    family = "mysql"

    def columns(self, connection: sa.Connection, table: Table) -> Sequence[ExactColumn]:
        named = {"schema": table.schema, "name": table.name}
        details = {row.name: row for row in connection.execute(_DETAILS, named)}
        return [_exact(column, details[column.name]) for column in table.columns]

    def settle(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql("SET SESSION time_zone = '+00:00'")

    def selected(self, table: Table, columns: Sequence[ExactColumn]) -> Sequence[sa.ColumnElement[Any]]:
        named = [(table.called.c[quoted(column.name)], column) for column in columns]
        return [self.spelled(own, column).label(quoted(column.name)) for own, column in named]

    @staticmethod
    def spelled(own: sa.ColumnElement[Any], column: ExactColumn) -> sa.ColumnElement[Any]:
        """Return what to select to get the column's exact value."""
        word = _word(column.sql_type)
        if word == "float":  # the server returns only six digits of it
            return sa.cast(own, DOUBLE(asdecimal=False))
        if word == "bit":
            return own + sa.literal_column("0")
        return sa.cast(own, sa.CHAR()) if word in (*_MOMENTS, *_SERVERS) else own


def _word(type: str) -> str:
    return re.split(r"[^a-z0-9]", type.lower(), maxsplit=1)[0]


def _exact(column: Column, details: sa.Row[Any]) -> ExactColumn:
    kind, precision, scale = _kind(column.type.lower())
    return ExactColumn(
        column.name, column.type, kind, column.nullable, precision, scale, details.order_of_text, column.generated,
        bool(details.own_number),
    )  # fmt: skip


def _kind(type: str) -> tuple[ExactKind, int, int]:
    word = _word(type)
    if found := _DECIMAL.match(type):
        return ExactKind.DECIMAL, int(found[1]), int(found[2])
    if word in _WHOLE:
        return ExactKind(f"{'u' if 'unsigned' in type or 'zerofill' in type else ''}int{_WHOLE[word]}"), 0, 0
    if word == "bit":
        return ExactKind.UINT64, 0, 0
    if word in ("float", "double"):
        return ExactKind.DOUBLE, 0, 0
    if word == "uuid":
        return ExactKind.UUID, 0, 0
    return (ExactKind.BYTES if word in _BYTES else ExactKind.TEXT), 0, 0
