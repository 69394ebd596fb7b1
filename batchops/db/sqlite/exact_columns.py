"""SQLite's values as exact text: a column's kind depends on its values, as its declared type limits nothing."""

import sqlite3
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from batchops.db.exact_columns import ExactColumn, ExactKind
from batchops.db.table import Column, Table, quoted

_IS_STRICT = sa.text("SELECT strict FROM pragma_table_list(:name) WHERE schema = 'main'")
_CLASSES = ("integer", "real", "text", "blob")
_KINDS = {
    "integer": ExactKind.INT64, "real": ExactKind.DOUBLE, "text": ExactKind.TEXT, "blob": ExactKind.BYTES,
}  # fmt: skip


class SQLiteExactColumns:
    """Finds each column's kind by reading the whole table once for the storage classes that it holds."""

    family = "sqlite"

    def columns(self, connection: sa.Connection, table: Table) -> Sequence[ExactColumn]:
        held = _storage_classes(connection, table)
        own_number, strict = _own_number(table), _strict(connection, table)

        def exact(column: Column, classes: Sequence[str]) -> ExactColumn:
            type = _unconverting_type(column.type) if strict else column.type
            kind, numbered = _kind(column, classes), column.name == own_number
            return ExactColumn(
                column.name, type, kind, column.nullable, generated=column.generated, identity=numbered
            )  # fmt: skip

        return [exact(column, classes) for column, classes in zip(table.columns, held, strict=True)]

    def settle(self, connection: sa.Connection) -> None:
        pass  # SQLite writes each value in one way only

    def selected(self, table: Table, columns: Sequence[ExactColumn]) -> Sequence[sa.ColumnElement[Any]]:
        return [table.called.c[quoted(column.name)] for column in columns]


def _strict(connection: sa.Connection, table: Table) -> bool:
    """Whether the table is STRICT; SQLite has such tables, and the pragma that shows them, since 3.37."""
    if sqlite3.sqlite_version_info < (3, 37):
        return False
    return bool(connection.execute(_IS_STRICT, {"name": table.name}).scalar())


def _unconverting_type(type: str) -> str:
    """Return the type that keeps values unchanged in any table: BLOB for ANY, which does so only in a STRICT table.

    In other tables ANY converts texts to numbers.
    """
    return "BLOB" if type.upper() == "ANY" else type


def _storage_classes(connection: sa.Connection, table: Table) -> list[list[str]]:
    """Return for each column the storage classes of its values."""
    asked = [
        sa.func.max(sa.func.typeof(table.called.c[quoted(column.name)]) == storage)
        for column in table.columns
        for storage in _CLASSES
    ]
    row = connection.execute(sa.select(*asked).select_from(table.called)).one()
    by_column = [row[start : start + len(_CLASSES)] for start in range(0, len(row), len(_CLASSES))]
    return [[name for name, held in zip(_CLASSES, found, strict=True) if held] for found in by_column]


def _kind(column: Column, classes: Sequence[str]) -> ExactKind:
    if len(classes) == 1:
        return _KINDS[classes[0]]
    return ExactKind.TAGGED if classes else _declared(column.type.lower())


def _declared(type: str) -> ExactKind:
    """Return the kind that the declared type means by SQLite's own rules, for a column without values."""
    if "int" in type:
        return ExactKind.INT64
    if any(word in type for word in ("char", "clob", "text")):
        return ExactKind.TEXT
    if not type or "blob" in type:
        return ExactKind.TAGGED
    return ExactKind.DOUBLE if any(word in type for word in ("real", "floa", "doub")) else ExactKind.TAGGED


def _own_number(table: Table) -> str | None:
    """Return the name of the INTEGER PRIMARY KEY, which SQLite numbers; None where there is none."""
    if len(table.known_by) != 1:
        return None
    column = next((one for one in table.columns if one.name == table.known_by[0]), None)
    return column.name if column is not None and column.type.lower() == "integer" else None
