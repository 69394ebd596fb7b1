"""Changes to tables that are there. Each tells whether it has been made, by whomever, and gives its SQL."""

from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateIndex, ExecutableDDLElement
from sqlalchemy.types import TypeEngine


class Change(Protocol):
    """One statement of a migration."""

    @property
    def table(self) -> str:
        """The name of the table that it changes."""

    def made(self, inspector: sa.Inspector, schema: str | None) -> bool:
        """Whether the table is so already."""

    def statement(self, schema: str | None) -> ExecutableDDLElement:
        """What makes it so."""


@dataclass(frozen=True)
class AddColumn:
    """A column more, NULL in the rows that are there: no database writes the table anew for that."""

    table: str
    name: str
    type: TypeEngine[Any]

    def made(self, inspector: sa.Inspector, schema: str | None) -> bool:
        """Whether there is a column of that name."""
        return self.name in {column["name"] for column in inspector.get_columns(self.table, schema=schema)}

    def statement(self, schema: str | None) -> ExecutableDDLElement:
        """ALTER TABLE … ADD COLUMN."""
        column: sa.Column[Any] = sa.Column(self.name, self.type)
        sa.Table(self.table, sa.MetaData(schema=schema), column)
        return _AddColumn(column)


@dataclass(frozen=True)
class AddIndex:
    """An index more."""

    table: str
    name: str
    columns: tuple[str, ...]

    def made(self, inspector: sa.Inspector, schema: str | None) -> bool:
        """Whether there is an index of that name."""
        return self.name in {index["name"] for index in inspector.get_indexes(self.table, schema=schema)}

    def statement(self, schema: str | None) -> ExecutableDDLElement:
        """CREATE INDEX."""
        columns = [sa.Column(name, sa.Integer) for name in self.columns]
        table = sa.Table(self.table, sa.MetaData(schema=schema), *columns)
        return CreateIndex(sa.Index(self.name, *table.c))


class _AddColumn(ExecutableDDLElement):
    """SQLAlchemy knows no ALTER TABLE."""

    inherit_cache = False

    def __init__(self, column: sa.Column[Any]) -> None:
        self.column = column


@compiles(_AddColumn)
def _compiled(element: _AddColumn, compiler: Any, **_: Any) -> str:
    table = compiler.preparer.format_table(element.column.table)
    return f"ALTER TABLE {table} ADD COLUMN {compiler.get_column_specification(element.column)}"
