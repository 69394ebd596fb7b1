"""The foreign keys of a whole database, for the graph of a parent and its children."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import sqlalchemy as sa

from batchops.db.facts import TableName
from batchops.db.table import Table
from batchops.db.types import KeyValue

NO_ACTION = "NO ACTION"
Indexes = Mapping[TableName, Sequence[tuple[str, ...]]]
"""By table: the columns of each index that has every row of it, in the index's order."""


@dataclass(frozen=True)
class ForeignKey:
    """One foreign key as the catalogue has it: `columns` of `child` refer to `referred` of `parent`."""

    name: str | None
    """None where the database gives none a name: SQLite."""
    child: TableName
    columns: tuple[str, ...]
    parent: TableName
    referred: tuple[str, ...]
    on_delete: str
    """CASCADE, SET NULL, SET DEFAULT, RESTRICT or NO ACTION."""
    sets: tuple[str, ...] = ()
    """The columns that its own SET NULL sets; empty: all."""
    match_full: bool = False
    """Whether its columns are NULL together or not at all."""
    deferrable: bool = False
    deferred: bool = False
    """Whether it is checked at COMMIT unless told otherwise."""
    validated: bool = True
    """Whether the server vouches for rows that are there: not where checks may have been off."""
    enforced: bool = True
    """Whether it acts on this session's statements."""
    elsewhere: bool = False
    """Whether the child lies in another database of the server than the session's."""


class ForeignKeys(Protocol):
    """What one database's catalogue says about its foreign keys, in few statements for any number of tables."""

    stops_early: bool
    """Whether a recursive query with a LIMIT reads no further than that; else it has to be bounded by its depth."""
    in_this_order: str
    """What follows SELECT so that its tables are joined as they are listed; empty where the server knows best."""

    def all(self, connection: sa.Connection, schemas: Collection[str | None]) -> Sequence[ForeignKey]:
        """All that this role may see; one that a partition repeats for its parent is left out.

        Where databases of a server can refer to each other: of these, and of those that references connect with them.
        """

    def partitions(self, connection: sa.Connection) -> Mapping[TableName, TableName]:
        """The parent of each partition."""

    def indexes(self, connection: sa.Connection, tables: Sequence[Table]) -> Indexes:
        """The indexes of these tables, the primary key among them; none that is partial or not yet valid."""

    def checks_each_row(self, on_delete: str) -> bool:
        """Whether such a key of a table to itself refuses a row while another refers to it that the same statement
        deletes."""

    def refuses_each(self, connection: sa.Connection, table: Table) -> bool:
        """Whether the server refuses a row of the table to which others refer, whatever else the statement deletes."""

    def in_order(self, table: Table, names: Sequence[str], keys: Sequence[KeyValue]) -> sa.ColumnElement[bool] | None:
        """What a DELETE of these rows adds to its condition so as to delete them one after the other, in this order.

        None where it cannot be told; nobody asks where no key `checks_each_row`."""

    def by_key(self, table: Table, names: Sequence[str], *, downwards: bool) -> sa.ColumnElement[bool] | None:
        """What a DELETE adds to its condition so as to delete its rows one after the other in the order of a key, from
        the last or from the first; None where it cannot be told, or where that makes no difference."""

    def defer(self, connection: sa.Connection) -> None:
        """Have every key that can be checked at COMMIT checked there, in this transaction."""
