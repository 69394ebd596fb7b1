"""How a column's values are written exactly as text, for every database.

A row outside the database is its canonical line: PostgreSQL's COPY text format, one line of bytes, fields separated by
tabs, NULL as `\\N`. The text of a field follows from the column's kind.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.db.table import Table


class ExactKind(StrEnum):
    """The form of a column's texts."""

    INT8 = "int8"
    """Decimal digits; this is the form of all whole numbers."""
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    UINT8 = "uint8"
    UINT16 = "uint16"
    UINT32 = "uint32"
    UINT64 = "uint64"
    DECIMAL = "decimal"
    """Digits with exactly `scale` of them after the point."""
    FLOAT = "float"
    """The shortest digits that give the same 4-byte number, as PostgreSQL spells them: `1e+20`, `NaN`, `Infinity`."""
    DOUBLE = "double"
    BOOLEAN = "boolean"
    """`t` or `f`."""
    DATE = "date"
    """`2024-01-31`"""
    TIMESTAMP = "timestamp"
    """`2024-01-31 10:00:00.5`, without zeros at the end of a fraction."""
    INSTANT = "instant"
    """The same in UTC, with `+00`."""
    UUID = "uuid"
    BYTES = "bytes"
    """`\\x` and hexadecimal digits."""
    TEXT = "text"
    """The database's own text, unchanged."""
    TAGGED = "tagged"
    """SQLite's value with its storage class: `i:5`, `r:0.5`, `t:words`, `b:\\x00`."""


@dataclass(frozen=True)
class ExactColumn:
    """A column of archived rows, and how its values are written as text."""

    name: str
    sql_type: str
    kind: ExactKind
    nullable: bool = True
    precision: int = 0
    scale: int = 0
    collation: str | None = None
    generated: bool = False
    """Whether the database computes the column: it is archived to be read, and never written back."""
    identity: bool = False
    """Whether the database fills the column with numbers by itself."""
    inexact: str = ""
    """Why no text can be read back as the same value; empty where one can."""


class ExactColumns(Protocol):
    """How one database writes its values as exact text."""

    family: str
    """The databases whose types the columns have; rows archived from a family can be restored to it exactly."""

    def columns(self, connection: sa.Connection, table: Table) -> Sequence[ExactColumn]:
        """Return the columns of the table, in the table's order."""

    def settle(self, connection: sa.Connection) -> None:
        """Fix how the session writes values as text until the transaction ends."""

    def selected(self, table: Table, columns: Sequence[ExactColumn]) -> Sequence[sa.ColumnElement[Any]]:
        """Return what to select to get values that `exact_text.line_maker` takes; RETURNING may name the same."""


def refused(columns: Sequence[ExactColumn]) -> list[str]:
    """Return a message for each column that cannot be archived exactly, with its name, its type and the reason."""
    return [f"{column.name} ({column.sql_type}): {column.inexact}" for column in columns if column.inexact]
