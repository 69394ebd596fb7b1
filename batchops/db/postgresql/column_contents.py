"""What a PostgreSQL column can hold: by its type, below any domain, its enum's labels and its checks."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.db.column_contents import Clock, Kind, refused_by
from batchops.db.postgresql.keys import NamedType
from batchops.db.table import Column, Table

_LABELS = sa.text("""
SELECT e.enumlabel FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_enum e ON e.enumtypid = a.atttypid
WHERE a.attrelid = CAST(:oid AS oid) AND a.attname = :name ORDER BY e.enumsortorder
""")
_CHECKS = sa.text("""
SELECT c.conname, pg_catalog.pg_get_expr(c.conbin, c.conrelid) FROM pg_catalog.pg_constraint c
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND c.conkey = ARRAY[a.attnum]
WHERE c.contype = 'c' AND c.conrelid = CAST(:oid AS oid) AND a.attname = :name ORDER BY c.conname
""")
_ALL_CHECKS = sa.text("""
SELECT conname, pg_catalog.pg_get_expr(conbin, conrelid) FROM pg_catalog.pg_constraint
WHERE contype = 'c' AND conrelid = CAST(:oid AS oid) ORDER BY conname
""")
_CLOCKS = {
    "clock_timestamp": Clock.EVENT, "timeofday": Clock.EVENT, "uuidv7": Clock.EVENT,
    "statement_timestamp": Clock.STATEMENT, "now()": Clock.TRANSACTION, "transaction_timestamp": Clock.TRANSACTION,
    "current_timestamp": Clock.TRANSACTION, "localtimestamp": Clock.TRANSACTION,
}  # fmt: skip
"""The clock for each word that a default may contain; the first word found decides."""
_KINDS = {
    "boolean": Kind.FLAG, "smallint": Kind.SMALL, "integer": Kind.NUMBER, "bigint": Kind.LARGE, "date": Kind.TIME,
    "real": Kind.LARGE, "double precision": Kind.LARGE, "text": Kind.WORDS, "citext": Kind.WORDS, "name": Kind.WORDS,
}  # fmt: skip


class PostgreSQLContents:
    """Tells what a column can hold by pg_type, pg_enum and pg_constraint."""

    def kind(self, connection: sa.Connection, table: Table, column: Column) -> Kind:
        type = column.stored
        if type.startswith("timestamp"):
            return Kind.TIME
        if type.startswith("numeric"):
            return Kind.LARGE
        if type.startswith(("character", '"char"')) or self._labels(connection, table, column):
            return Kind.WORDS
        return _KINDS.get(type, Kind.OTHER)

    def refusal(self, connection: sa.Connection, table: Table, column: Column, value: str | None) -> str | None:
        if value is None:
            return None if column.nullable else "it may not be NULL"
        typed = sa.cast(sa.bindparam(None, value, sa.Text), NamedType(column.type))
        try:
            with connection.begin_nested():
                kept: str = connection.execute(sa.select(sa.cast(typed, sa.Text))).scalar_one()
                if self.kind(connection, table, column) is Kind.WORDS and kept.rstrip() != value.rstrip():
                    return f"its type is {column.type}"
                checks = connection.execute(_CHECKS, {"oid": table.identity, "name": column.name}).all()
                return refused_by(connection, column, typed, [(name, expression) for name, expression in checks])
        except DBAPIError as error:
            labels = self._labels(connection, table, column)
            message = str(error.orig).splitlines()[0]
            return f"it is one of {', '.join(labels)}" if labels else message

    def checks(self, connection: sa.Connection, table: Table) -> list[tuple[str, str]]:
        return [(name, text) for name, text in connection.execute(_ALL_CHECKS, {"oid": table.identity})]

    def named(self, column: Column, value: str) -> str:  # noqa: ARG002  any value can be written as a text
        return value

    def now(self, column: Column) -> sa.ColumnElement[Any]:
        moment: sa.ColumnElement[Any] = sa.func.statement_timestamp()
        if column.stored.startswith("timestamp") and not self.zoneless(column):
            return sa.cast(moment, NamedType(column.stored))
        moment = sa.func.timezone("UTC", moment)
        if self.zoneless(column):
            return sa.cast(moment, NamedType(column.stored))
        return sa.func.to_char(moment, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')

    def clock(self, column: Column) -> Clock:
        default = (column.default or "").lower()
        return next((clock for word, clock in _CLOCKS.items() if word in default), Clock.OTHER)

    def sorts_by_time(self, column: Column) -> bool:  # noqa: ARG002  it compares their bytes
        return False

    def zoneless(self, column: Column) -> bool:
        return column.stored == "date" or column.stored.endswith("without time zone")

    def _labels(self, connection: sa.Connection, table: Table, column: Column) -> list[str]:
        return list(connection.execute(_LABELS, {"oid": table.identity, "name": column.name}).scalars())
