"""What a SQLite column can hold: by its declared type, and by whether its values agree with that."""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
import sqlglot
from sqlalchemy.exc import DBAPIError
from sqlglot import exp
from sqlglot.errors import SqlglotError

from batchops.db.column_contents import Clock, Kind, refused_by, sample
from batchops.db.table import Column, Table

_DDL = sa.text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :name COLLATE NOCASE")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_TEXT = ("char", "text", "clob")
_NUMBERS = ("int", "num", "dec", "real", "doub", "floa", "bit")


class SQLiteContents:
    """Tells what a column holds by its declared type and a sample, as any value may be in any column."""

    def kind(self, connection: sa.Connection, table: Table, column: Column) -> Kind:
        type = column.type.lower()
        if "bool" in type:
            return Kind.FLAG if self._flags(connection, table, column) else Kind.WORDS
        if "date" in type or "time" in type:
            return Kind.TIME if self._times(connection, table, column) else Kind.LARGE
        if any(word in type for word in _NUMBERS):
            return Kind.LARGE if "big" in type else Kind.NUMBER
        if not type or any(word in type for word in _TEXT):
            # Most tables store a time that is not set yet as a text column with NULL.
            meant = column.nullable and column.default is None and self._times(connection, table, column)
            return Kind.TIME if meant else Kind.WORDS
        return Kind.OTHER

    def refusal(self, connection: sa.Connection, table: Table, column: Column, value: str | None) -> str | None:
        if value is None:
            return None if column.nullable else "it may not be NULL"
        number = any(word in column.type.lower() for word in _NUMBERS)
        number = number or self.kind(connection, table, column) is Kind.FLAG
        if number and not _NUMBER.fullmatch(value):
            return f"its type is {column.type}"
        own: sa.ColumnElement[Any] = sa.cast(sa.literal(value), sa.Numeric()) if number else sa.literal(value)
        for check, names in _checks(connection, table):
            if names == {column.name.lower()}:
                with suppress(DBAPIError):  # a check that only its application can evaluate
                    if refusal := refused_by(connection, column, own, [(check, check)]):
                        return refusal
        return None

    def checks(self, connection: sa.Connection, table: Table) -> list[tuple[str, str]]:
        return [(check, check) for check, _ in _checks(connection, table)]

    def named(self, column: Column, value: str) -> str:  # noqa: ARG002  any value can be written as a text
        return value

    def now(self, column: Column) -> sa.ColumnElement[Any]:  # noqa: ARG002  one spelling for all
        return sa.func.strftime("%Y-%m-%d %H:%M:%f", "now")

    def clock(self, column: Column) -> Clock:
        default = (column.default or "").lower()
        return Clock.STATEMENT if "current_timestamp" in default or "'now'" in default else Clock.OTHER

    def sorts_by_time(self, column: Column) -> bool:  # noqa: ARG002  it compares their bytes
        return False

    def zoneless(self, column: Column) -> bool:  # noqa: ARG002  its functions are in UTC by themselves
        return False

    def _times(self, connection: sa.Connection, table: Table, column: Column) -> bool:
        """Whether all sampled values are written as dates; True where there are none."""
        return all(isinstance(value, str) and _DATE.match(value) for value in self._values(connection, table, column))

    def _flags(self, connection: sa.Connection, table: Table, column: Column) -> bool:
        """Whether all values are 0 or 1: 'true' and 'false' in quotes are texts, which both count as false."""
        spelled = (column.default or "").strip("()").startswith(("'", '"'))
        word = spelled and not _NUMBER.fullmatch((column.default or "").strip("()'\""))
        return not word and set(self._values(connection, table, column)) <= {0, 1}

    def _values(self, connection: sa.Connection, table: Table, column: Column) -> Iterator[Any]:
        key = next((key.columns[0] for key in table.keys if key.columns[0] in table.column_names), column.name)
        return (value for value in sample(connection, table, column.name, key) if value is not None)


def _checks(connection: sa.Connection, table: Table) -> Iterator[tuple[str, set[str]]]:
    """Yield the expression of each check of the table, and the columns that it names."""
    try:
        tree = sqlglot.parse_one(connection.execute(_DDL, {"name": table.name}).scalar() or "", dialect="sqlite")
    except SqlglotError:
        return
    for found in tree.find_all(exp.CheckColumnConstraint):
        yield found.this.sql(dialect="sqlite"), {name.name.lower() for name in found.find_all(exp.Column)}
