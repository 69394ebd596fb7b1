"""PostgreSQL's values as exact text: its own output functions, under settings that do not round."""

import re
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from batchops.db.exact_columns import ExactColumn, ExactKind
from batchops.db.table import Column, Table, quoted

SETTINGS = (
    "SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = postgres; "
    "SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = hex; SET LOCAL xmloption = content"
)
_DETAILS = sa.text("""
SELECT a.attname AS name, a.attidentity <> '' AS identity, c.collname AS collation
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_collation c ON c.oid = a.attcollation
WHERE a.attrelid = CAST(:oid AS oid) AND a.attnum > 0 AND NOT a.attisdropped
""")
_KINDS = {
    "smallint": ExactKind.INT16, "integer": ExactKind.INT32, "bigint": ExactKind.INT64, "real": ExactKind.FLOAT,
    "double precision": ExactKind.DOUBLE, "boolean": ExactKind.BOOLEAN, "date": ExactKind.DATE,
    "uuid": ExactKind.UUID, "bytea": ExactKind.BYTES,
}  # fmt: skip
_DECIMAL = re.compile(r"numeric\((\d+),(\d+)\)")
_MOMENT = re.compile(r"timestamp(\(\d\))? with(out)? time zone")
_WIDEST = 76
"""The most digits that a decimal of Arrow can have."""
_BY_NAME = frozenset((
    "regclass", "regcollation", "regconfig", "regdictionary", "regnamespace", "regoper", "regoperator", "regproc",
    "regprocedure", "regrole", "regtype",
))  # fmt: skip
_WITHOUT_INPUT = frozenset(("pg_node_tree", "pg_ndistinct", "pg_dependencies", "pg_mcv_list", "aclitem"))


class PostgreSQLExactColumns:
    """Tells how a column's values are written as text by its type, or the one behind its domain."""

    family = "postgresql"

    def columns(self, connection: sa.Connection, table: Table) -> Sequence[ExactColumn]:
        details = {row.name: row for row in connection.execute(_DETAILS, {"oid": table.identity})}
        return [_exact(column, details[column.name]) for column in table.columns]

    def settle(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql(SETTINGS)

    def selected(self, table: Table, columns: Sequence[ExactColumn]) -> Sequence[sa.ColumnElement[Any]]:
        # A cast to text removes the blanks at the end of character(n); format() calls the type's own output function.
        return [self.spelled(table.called.c[quoted(column.name)]).label(quoted(column.name)) for column in columns]

    @staticmethod
    def spelled(own: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Return the value's text, as COPY writes it."""
        return sa.case((own.is_not(None), sa.func.format(sa.literal("%s", sa.Text), own)))


def _exact(column: Column, details: sa.Row[Any]) -> ExactColumn:
    type = column.stored
    kind, precision, scale = _kind(type)
    return ExactColumn(
        column.name, column.type, kind, column.nullable, precision, scale, details.collation, column.generated,
        details.identity or (column.default or "").startswith("nextval("), _inexact(type.removesuffix("[]")),
    )  # fmt: skip


def _kind(type: str) -> tuple[ExactKind, int, int]:
    if found := _DECIMAL.fullmatch(type):
        precision, scale = int(found[1]), int(found[2])
        fits = precision <= _WIDEST and scale <= precision
        return (ExactKind.DECIMAL, precision, scale) if fits else (ExactKind.TEXT, 0, 0)
    if _MOMENT.fullmatch(type):
        return (ExactKind.INSTANT if type.endswith("with time zone") else ExactKind.TIMESTAMP), 0, 0
    return _KINDS.get(type, ExactKind.TEXT), 0, 0


def _inexact(type: str) -> str:
    if type in _BY_NAME:
        return "its text is a name, which may mean another object later"
    return "the server reads no text of this type back" if type in _WITHOUT_INPUT else ""
