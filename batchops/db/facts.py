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
    """Code that the database runs when rows of `table` are deleted or updated."""

    name: str
    table: str
    timing: str
    """before, after, or rule."""
    event: str
    """DELETE or UPDATE."""
    columns: tuple[str, ...] = ()
    """Those whose update sets it off; none: any."""
    author: str | None = None
    """Whose code it is, where it would run with this role's rights and the author has fewer."""


@dataclass(frozen=True)
class OtherTable:
    """Another table, by name."""

    schema: str | None
    name: str
    rows: int | None = None

    @property
    def label(self) -> str:
        """The name for people."""
        return label_of(self.schema, self.name)

    def clause(self, columns: Sequence[str]) -> sa.TableClause:
        """The table with these of its columns, every name quoted."""
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
        """What it does on DELETE or UPDATE."""
        return self.on_delete if event == "DELETE" else self.on_update

    @property
    def restricts_own(self) -> bool:
        """Whether rows of the table refer to others of it, which may then not go before them."""
        return self._own and self.on_delete == RESTRICT

    @property
    def sets_own(self) -> bool:
        """Whether rows of the table refer to others of it, and are changed as these go."""
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
    """What a changed row costs in the log that replicas and recovery read; None where there is no such log."""

    name: str
    row: float
    """Bytes for a row, whatever its size."""
    share: float
    """How often the row's own bytes are written."""
    page: int = 0
    """Bytes for each page that is touched, at the most."""


@dataclass(frozen=True)
class TableFacts:
    """All of it; empty values where this database does not know such a thing."""

    triggers: tuple[Trigger, ...] = ()
    references: tuple[Reference, ...] = ()
    """Foreign keys that point here, and on from there as far as they cascade."""
    nullable_keys: tuple[Key, ...] = ()
    """Unique indexes with columns that may be NULL."""
    hides_rows: bool = False
    """Whether a policy keeps rows from this role's sight."""
    superuser: bool = False
    borrowed: tuple[str, ...] = ()
    """Functions of roles with fewer rights that an UPDATE runs, for an index, a check or a generated column."""
    foreign_parts: tuple[str, ...] = ()
    """Partitions that lie on another server."""
    unnamed_rows: bool = False
    """Whether the server refuses to change rows, as the table is published without a replica identity."""
    base: str | None = None
    """The one table behind a view that can be written through."""
    follow_updates: tuple[str, ...] = ()
    """Columns that the server sets by itself with every UPDATE, unless it sets them."""
    transactional: bool = True
    """Whether a batch that is rolled back is undone."""
    frees_space: str = ""
    """The command that gives space back to the disk."""
    log: LogCost | None = None
    replicas: tuple[str, ...] = ()
    free_bytes: int | None = None
    """On the disk that the table lies on; None where nobody can tell."""
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
    """How a statement begins that makes an index while others write, up to ON."""

    def of(self, connection: sa.Connection, table: Table) -> TableFacts:
        """What depends on the table."""

    def guards(self, connection: sa.Connection, tables: Sequence[Table]) -> Mapping[TableName, TableFacts]:
        """Of each of many tables what keeps its rows from being changed as asked, and no more: triggers, policies,
        parts on other servers, a publication without a replica identity, an engine without transactions."""

    def full_reads(
        self, connection: sa.Connection, statement: sa.Select[Any] | sa.Delete | sa.Update
    ) -> Sequence[FullRead]:
        """What the server would read whole for one execution, by its own plan; not what a LIMIT ends."""

    def count_within(self, connection: sa.Connection, rows: sa.Select[Any], seconds: float) -> int | None:
        """How many rows that is; None where counting takes longer, or this role may not."""

    def tables_read(
        self, connection: sa.Connection, table: Table, condition: sa.ColumnElement[bool] | sa.TextClause,
        values: Sequence[sa.TextClause], functions: Collection[str],
    ) -> frozenset[TableName]:  # fmt: skip
        """The tables that these expressions on rows of `table` read in sub-selects, views and `functions`.

        `table` is among them only where it is read beside the row itself. A partition counts as its `table`."""

    def value_literal(self, connection: sa.Connection, named: sa.TextClause) -> str | None:
        """The value of `expression AS v`, computed now, as a literal; None where its type has no exact one."""
