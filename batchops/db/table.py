"""A table as the database's own catalog describes it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.sql.elements import quoted_name

Statement = TypeVar("Statement", sa.Select[Any], sa.Delete, sa.Update)


def quoted(name: str) -> quoted_name:
    """Return an identifier for SQL that is always quoted, whatever characters it has; all SQL names come from here."""
    return quoted_name(name, quote=True)


def label_of(schema: str | None, name: str) -> str:
    """Return a table's name for people, with its schema unless that is the default one."""
    return name if schema in (None, "public", "main") else f"{schema}.{name}"


def parts_of(label: str, family: str) -> tuple[str | None, str]:
    """Return schema and name by the label of a table in such a database; SQLite's tables have no schema."""
    schema, dot, name = label.partition(".")
    return (schema, name) if dot and family != "sqlite" else (None, label)


@dataclass(frozen=True)
class Column:
    """A column; `type` is the database's own spelling."""

    name: str
    type: str
    nullable: bool
    generated: bool = False
    base: str = ""
    """The type behind a domain; empty for any other."""
    default: str | None = None
    """The SQL of its default, as the catalog spells it; None for no default or NULL."""

    @property
    def stored(self) -> str:
        """The type of its values: the one behind a domain, else its own."""
        return self.base or self.type


@dataclass(frozen=True)
class Key:
    """Columns that identify each row: those of a primary key, or of a unique index without NULLs."""

    columns: tuple[str, ...]
    primary: bool


@dataclass(frozen=True)
class TableIdentity:
    """The identity of a table in the server, independent of its name; None if the server has none."""

    table: str | None = None
    """It changes when another table takes the name: an OID, InnoDB's table id."""
    storage: str | None = None
    """It also changes when the same table is rewritten: a file node."""

    def is_another_than(self, before: "TableIdentity") -> bool:
        """Whether this is certainly another table than before; False where that is unknown."""
        return None not in (self.table, before.table) and self.table != before.table

    def was_rewritten_since(self, before: "TableIdentity") -> bool:
        """Whether the table was certainly rewritten since: by TRUNCATE, VACUUM FULL, CLUSTER or ALTER."""
        return None not in (self.storage, before.storage) and self.storage != before.storage


@dataclass(frozen=True)
class Table:
    """A table as the catalog describes it. `rows` and `bytes` are the database's own estimates; None: unknown."""

    schema: str | None
    name: str
    kind: str
    """table, partitioned, view, materialized view, or foreign table."""
    columns: tuple[Column, ...]
    keys: tuple[Key, ...]
    """Usable keys, best first."""
    identity: str
    """What the catalog's other queries find the table by: an OID or a name."""
    rows: int | None = None
    bytes: int | None = None
    blocks: int | None = None
    """Blocks of the heap alone, without values that are stored out of line."""
    may_veto: bool = False
    """Whether a trigger or rule may leave a row unchanged without an error, so that changed rows must be counted."""
    lockable: bool = True
    """Whether this role may lock rows; PostgreSQL requires UPDATE on a column for that."""
    only: bool = False
    """Whether statements leave out the tables that inherit from it."""
    alias: str | None = None
    """Its name in statements: for a partition the name of its parent, which the user's condition may use."""

    primary: tuple[str, ...] = ()
    """The primary key where it is not among `keys`: SQLite lets it hold NULLs."""

    @property
    def known_by(self) -> tuple[str, ...]:
        """The columns by which people identify its rows; empty where no key does."""
        return self.primary or (self.keys[0].columns if self.keys else ())

    def key_within(self, names: Collection[str]) -> tuple[str, ...]:
        """Return the first key whose columns are all among `names`, the primary key before others; empty for none."""
        keys = (self.primary, *(key.columns for key in self.keys))
        return next((key for key in keys if key and set(key) <= set(names)), ())

    @property
    def label(self) -> str:
        """The table's name for people, with its schema unless that is the default one."""
        return label_of(self.schema, self.name)

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def writable_names(self) -> tuple[str, ...]:
        """The columns that take values; those of the others, the generated ones, the database computes."""
        return tuple(column.name for column in self.columns if not column.generated)

    def types_of(self, names: Sequence[str]) -> tuple[str | None, ...]:
        """Return the types of these columns; None for a name that is no column (a row's number) or does not exist."""
        types = {column.name: column.type for column in self.columns}
        return tuple(types.get(name) for name in names)

    def column(self, name: str) -> Column:
        """Return the column of that name; KeyError where there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f'"{self.label}" has no column "{name}", only {", ".join(self.column_names)}')

    @cached_property
    def clause(self) -> sa.TableClause:
        """The table in SQLAlchemy's terms, every name quoted."""
        columns: list[sa.ColumnClause[object]] = [sa.column(quoted(c.name)) for c in self.columns]
        schema = quoted(self.schema) if self.schema is not None else None
        return sa.table(quoted(self.name), *columns, schema=schema)

    @cached_property
    def called(self) -> sa.TableClause | sa.Alias:
        """The same as `clause`, under the table's alias where it has one."""
        if self.alias is None:
            return self.clause
        called = self.clause.alias(quoted(self.alias))
        assert isinstance(called, sa.Alias)
        return called

    def alone(self, statement: Statement) -> Statement:
        """Return the statement, which leaves out the rows of inheriting tables where `only` is set."""
        if not self.only:
            return statement
        if isinstance(statement, sa.Select):
            return statement.with_hint(self.called, "ONLY")
        return statement.with_hint("ONLY", self.called)


def table_name(dialect: sa.Dialect, table: Table) -> str:
    """Return the table as SQL names it."""
    return dialect.identifier_preparer.format_table(table.clause)


def count_rows(connection: sa.Connection, rows: sa.FromClause) -> int:
    """Return how many rows there are."""
    return int(connection.execute(sa.select(sa.func.count()).select_from(rows)).scalar_one())


Limited = TypeVar("Limited", sa.Delete, sa.Update)


def limited(statement: Limited, rows: int) -> Limited:
    """Return the DELETE or UPDATE with a LIMIT, for databases where `Keys.limits_deletes`.

    Of the dialects that SQLAlchemy has, only MySQL's can write it.
    """
    return statement.with_dialect_options(mysql_limit=rows)
