"""What depends on a table and its server: triggers, foreign keys and more, for the plan and its checks."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.db.table import Key, Table, label_of, quoted

CASCADE, SET_NULL, SET_DEFAULT, RESTRICT = "CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT"
"""What a foreign key does to the child's rows; RESTRICT means NO ACTION too."""


TableName = tuple[str | None, str]
"""Schema and name, exactly as the catalogue has them."""


@dataclass(frozen=True)
class Trigger:
    """Code that the database runs when rows of `table` are inserted, deleted or updated."""

    name: str
    table: str
    timing: str
    """before, after, or rule."""
    event: str
    """INSERT, DELETE or UPDATE."""
    columns: tuple[str, ...] = ()
    """The columns whose update fires it; empty: an update of any column does."""
    author: str | None = None
    """The role whose code it is, where the code would run with this role's rights and its author has fewer."""


def fired_by(triggers: Sequence[Trigger], event: str, sets: Collection[str] = ()) -> list[Trigger]:
    """Return the triggers that fire on a DELETE, or on an UPDATE of these columns."""
    lower = {name.lower() for name in sets}
    return [
        one
        for one in triggers
        if one.event == event and (not one.columns or not lower.isdisjoint(map(str.lower, one.columns)))
    ]


@dataclass(frozen=True)
class OtherTable:
    """A table on either side of a foreign key, known by its name."""

    schema: str | None
    name: str
    rows: int | None = None

    @property
    def label(self) -> str:
        """The name for people."""
        return label_of(self.schema, self.name)

    def clause(self, columns: Sequence[str]) -> sa.TableClause:
        """Return the table with these columns in SQLAlchemy's terms, every name quoted."""
        own: list[sa.ColumnClause[object]] = [sa.column(quoted(name)) for name in columns]
        return sa.table(quoted(self.name), *own, schema=None if self.schema is None else quoted(self.schema))


@dataclass(frozen=True)
class Reference:
    """A foreign key: `columns` of `child` refer to `referred` of `parent`."""

    child: OtherTable
    columns: tuple[str, ...]
    parent: OtherTable
    referred: tuple[str, ...]
    on_delete: str
    on_update: str
    indexed: bool
    """Whether the child's rows are found by an index on `columns`."""
    direct: bool = True
    """Whether the parent is the table that was asked about, or one of its partitions."""

    def action(self, event: str) -> str:
        """Return what the foreign key does to the child's rows on that event, DELETE or UPDATE."""
        return self.on_delete if event == "DELETE" else self.on_update

    @property
    def restricts_own(self) -> bool:
        """Whether rows of the table refer to others of the same table, which cannot be deleted before them."""
        return self._own and self.on_delete == RESTRICT

    @property
    def sets_own(self) -> bool:
        """Whether rows of the table refer to others of the same table, and are changed when those are deleted."""
        return self._own and self.on_delete in (SET_NULL, SET_DEFAULT)

    @property
    def _own(self) -> bool:
        return self.direct and (self.child.schema, self.child.name) == (self.parent.schema, self.parent.name)

    @property
    def label(self) -> str:
        """Child table and columns, for people."""
        return f"{self.child.label} ({', '.join(self.columns)})"


@dataclass(frozen=True)
class LogCost:
    """What a changed row costs in the log that replicas and recovery read."""

    name: str
    row: float
    """Bytes that each row takes in the log, whatever its own size."""
    share: float
    """How many times the row's own bytes are written to the log."""
    page: int = 0
    """The most bytes that are written for each changed page."""


@dataclass(frozen=True)
class TableFacts:
    """What depends on one table and its server; a field is empty where the database has no such thing."""

    triggers: tuple[Trigger, ...] = ()
    references: tuple[Reference, ...] = ()
    """Foreign keys that refer to the table, and those that refer to the children as far as they cascade."""
    nullable_keys: tuple[Key, ...] = ()
    """Unique indexes with columns that may be NULL."""
    hides_rows: bool = False
    """Whether a policy hides rows from this role."""
    superuser: bool = False
    borrowed: tuple[str, ...] = ()
    """Functions, owned by roles with fewer rights, that an UPDATE runs for an index, a check or a generated column."""
    foreign_parts: tuple[str, ...] = ()
    """Partitions that lie on another server."""
    unnamed_rows: bool = False
    """Whether the server refuses to change rows because the table is published without a replica identity."""
    base: str | None = None
    """The one table behind a view that can be written through."""
    follow_updates: tuple[str, ...] = ()
    """Columns that the server sets by itself in every UPDATE that does not set them."""
    transactional: bool = True
    """Whether a rollback undoes a batch."""
    frees_space: str = ""
    """The command that returns the space to the disk."""
    log: LogCost | None = None
    replicas: tuple[str, ...] = ()
    free_bytes: int | None = None
    """Free bytes of the disk that holds the table; None where the server does not tell."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class FullRead:
    """A table or index that one statement reads from end to end."""

    table: str
    rows: int | None
    """How many rows it has, as far as known."""


class Facts(Protocol):
    """What one database can find out about tables."""

    new_index: str
    """The beginning, up to ON, of the statement that makes an index while others write."""

    def of(self, connection: sa.Connection, table: Table) -> TableFacts:
        """Return what depends on the table."""

    def guards(self, connection: sa.Connection, tables: Sequence[Table]) -> Mapping[TableName, TableFacts]:
        """Return, for each of many tables, only what may keep its rows from being changed as asked.

        That is triggers, policies, partitions on other servers, a publication without a replica identity, and an
        engine without transactions.
        """

    def full_reads(
        self, connection: sa.Connection, statement: sa.Select[Any] | sa.Delete | sa.Update
    ) -> Sequence[FullRead]:
        """Return what one execution would read from end to end, by the server's plan; not what a LIMIT ends early."""

    def count_within(self, connection: sa.Connection, rows: sa.Select[Any], seconds: float) -> int | None:
        """Return how many rows `rows` selects; None where counting takes longer than `seconds` or this role may not."""

    def tables_read(
        self, connection: sa.Connection, table: Table, condition: sa.ColumnElement[bool] | sa.TextClause,
        values: Sequence[sa.TextClause], functions: Collection[str],
    ) -> frozenset[TableName]:  # fmt: skip
        """Return the tables that these expressions on rows of `table` read in sub-selects, views and `functions`.

        `table` is among them only where the expressions read other rows of it. A partition counts as `table`.
        """

    def value_literal(self, connection: sa.Connection, named: sa.TextClause) -> str | None:
        """Evaluate `expression AS v` now and return its value as a literal; None where there is no exact literal."""
