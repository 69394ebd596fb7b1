"""Changes to existing tables; each knows whether it is still needed, and its SQL."""

from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateIndex, ExecutableDDLElement
from sqlalchemy.types import TypeEngine

from batchops.db.own_tables import TableRename


class SchemaChange(Protocol):
    """One statement of a migration."""

    def pending(self, inspector: sa.Inspector, schema: str | None) -> bool:
        """Whether the table exists and still needs this change."""

    def statement(self, schema: str | None) -> ExecutableDDLElement:
        """Return the statement that makes the change."""


@dataclass(frozen=True)
class AddColumn:
    """Adds a column that is NULL in existing rows, for which no database rewrites the table."""

    table: str
    name: str
    type: TypeEngine[Any]
    old_table: str = ""
    """The table's old name, if an earlier change of the same migration renames it."""

    def pending(self, inspector: sa.Inspector, schema: str | None) -> bool:
        """Whether the table has no column of that name."""
        names = column_names(inspector, self.table, schema)
        if not names and self.old_table:
            names = column_names(inspector, self.old_table, schema)
        return bool(names) and self.name not in names

    def statement(self, schema: str | None) -> ExecutableDDLElement:
        """Return ALTER TABLE … ADD COLUMN."""
        column: sa.Column[Any] = sa.Column(self.name, self.type)
        sa.Table(self.table, sa.MetaData(schema=schema), column)
        return _AddColumn(column)


@dataclass(frozen=True)
class AddIndex:
    """Adds an index."""

    table: str
    name: str
    columns: tuple[str, ...]

    def pending(self, inspector: sa.Inspector, schema: str | None) -> bool:
        """Whether the table has no index of that name."""
        if not column_names(inspector, self.table, schema):
            return False
        return self.name not in {index["name"] for index in inspector.get_indexes(self.table, schema=schema)}

    def statement(self, schema: str | None) -> ExecutableDDLElement:
        """Return CREATE INDEX."""
        columns = [sa.Column(name, sa.Integer) for name in self.columns]
        table = sa.Table(self.table, sa.MetaData(schema=schema), *columns)
        return CreateIndex(sa.Index(self.name, *table.c))


@dataclass(frozen=True)
class RenameTable:
    """Renames a table; the table with the old name is recognised by one of its columns."""

    old: str
    table: str
    column: str

    def pending(self, inspector: sa.Inspector, schema: str | None) -> bool:
        """Whether the table still has its old name."""
        return self.column in column_names(inspector, self.old, schema)

    def statement(self, schema: str | None) -> ExecutableDDLElement:
        """Return ALTER TABLE … RENAME TO."""
        return TableRename(sa.Table(self.old, sa.MetaData(schema=schema)), self.table)


@dataclass(frozen=True)
class RenameColumn:
    """Renames a column; the table may still have `old_table` as its name until an earlier change renames it."""

    table: str
    old: str
    name: str
    old_table: str = ""

    def pending(self, inspector: sa.Inspector, schema: str | None) -> bool:
        """Whether the column still has its old name."""
        tables = (self.table, *([self.old_table] if self.old_table else ()))
        return any(self.old in column_names(inspector, table, schema) for table in tables)

    def statement(self, schema: str | None) -> ExecutableDDLElement:
        """Return ALTER TABLE … RENAME COLUMN."""
        return _RenameColumn(sa.Table(self.table, sa.MetaData(schema=schema)), self.old, self.name)


@dataclass(frozen=True)
class DropColumn:
    """Drops a column that nothing reads."""

    table: str
    name: str

    def pending(self, inspector: sa.Inspector, schema: str | None) -> bool:
        """Whether the table still has the column."""
        return self.name in column_names(inspector, self.table, schema)

    def statement(self, schema: str | None) -> ExecutableDDLElement:
        """Return ALTER TABLE … DROP COLUMN."""
        return _DropColumn(sa.Table(self.table, sa.MetaData(schema=schema)), self.name)


def column_names(inspector: sa.Inspector, table: str, schema: str | None) -> frozenset[str]:
    """Return the names of the table's columns; none if there is no such table or this role cannot see it."""
    try:
        found = inspector.get_columns(table, schema=schema) if inspector.has_table(table, schema=schema) else []
    except DBAPIError:  # MariaDB raises this for a role without any right to a table, even if there is no such table
        return frozenset()
    return frozenset(str(column["name"]) for column in found)


class _AddColumn(ExecutableDDLElement):
    """ALTER TABLE … ADD COLUMN, which SQLAlchemy lacks."""

    inherit_cache = False

    def __init__(self, column: sa.Column[Any]) -> None:
        self.column = column


class _RenameColumn(ExecutableDDLElement):
    inherit_cache = False

    def __init__(self, table: sa.Table, old: str, name: str) -> None:
        self.table, self.old, self.name = table, old, name


class _DropColumn(ExecutableDDLElement):
    inherit_cache = False

    def __init__(self, table: sa.Table, name: str) -> None:
        self.table, self.name = table, name


@compiles(_DropColumn)
def _compile_drop_column(element: _DropColumn, compiler: Any, **_: Any) -> str:
    table = compiler.preparer.format_table(element.table)
    return f"ALTER TABLE {table} DROP COLUMN {compiler.preparer.quote(element.name)}"


@compiles(_RenameColumn)
def _compile_rename_column(element: _RenameColumn, compiler: Any, **_: Any) -> str:
    quote = compiler.preparer.quote
    table = compiler.preparer.format_table(element.table)
    return f"ALTER TABLE {table} RENAME COLUMN {quote(element.old)} TO {quote(element.name)}"


@compiles(_AddColumn)
def _compile_add_column(element: _AddColumn, compiler: Any, **_: Any) -> str:
    table = compiler.preparer.format_table(element.column.table)
    return f"ALTER TABLE {table} ADD COLUMN {compiler.get_column_specification(element.column)}"
