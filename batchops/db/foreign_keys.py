"""The foreign keys of a database, from which the graph of a parent and its children is made."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import sqlalchemy as sa

from batchops.db.facts import TableName
from batchops.db.table import Table
from batchops.db.types import KeyValue

NO_ACTION = "NO ACTION"
Indexes = Mapping[TableName, Sequence[tuple[str, ...]]]
"""For each table: the columns, in the index's order, of each index that covers all its rows."""


@dataclass(frozen=True)
class ForeignKey:
    """One foreign key as the catalogue has it: `columns` of `child` refer to `referred` of `parent`."""

    name: str | None
    """None where the database tells no name (SQLite)."""
    child: TableName
    columns: tuple[str, ...]
    parent: TableName
    referred: tuple[str, ...]
    on_delete: str
    """CASCADE, SET NULL, SET DEFAULT, RESTRICT or NO ACTION."""
    sets: tuple[str, ...] = ()
    """The columns that ON DELETE SET NULL sets; empty: all columns of the key."""
    match_full: bool = False
    """Whether its columns may only be NULL together."""
    deferrable: bool = False
    deferred: bool = False
    """Whether it is checked at COMMIT by default."""
    validated: bool = True
    """Whether the server guarantees that all existing rows satisfy it: not where checks may have been off."""
    enforced: bool = True
    """Whether the server applies it to this session's statements."""
    elsewhere: bool = False
    """Whether the child is in a database of the server that is not the session's own."""


@dataclass(frozen=True)
class Unseen:
    """What a role cannot see of the foreign keys that refer to a table."""

    acting: tuple[str, ...] = ()
    """Tables whose rows the server deletes or changes with those of the table by keys that the role does not see."""
    possible: bool = False
    """Whether there may be such tables: nothing tells the role."""


class ForeignKeys(Protocol):
    """What one database's catalogue says about its foreign keys, in few statements for any number of tables."""

    stops_early: bool
    """Whether a recursive query with a LIMIT stops reading there; otherwise its depth has to be bounded."""
    keeps_own_row: bool
    """Whether a row that refers to itself by a key that `checks_each_row` cannot be deleted."""
    in_this_order: str
    """The keyword after SELECT that makes the server join tables in the listed order; empty where none is needed."""

    def all(self, connection: sa.Connection, schemas: Collection[str | None]) -> Sequence[ForeignKey]:
        """Return all foreign keys that this role may see, without the copies that partitions have of a parent's keys.

        Where databases of a server can refer to each other, these are the keys of `schemas` and of all databases that
        foreign keys connect with them.
        """

    def partitions(self, connection: sa.Connection) -> Mapping[TableName, TableName]:
        """Return the parent of each partition."""

    def indexes(self, connection: sa.Connection, tables: Sequence[Table]) -> Indexes:
        """Return the indexes of these tables, primary keys included; partial and invalid indexes are left out."""

    def checks_each_row(self, on_delete: str) -> bool:
        """Whether a table's key to itself refuses to delete a row while a row that refers to it is still there.

        Otherwise the server checks at the end of the statement, which may delete both rows in any order.
        """

    def refuses_each(self, connection: sa.Connection, table: Table) -> bool:
        """Whether the server surely refuses to delete a row of the table while other rows refer to it.

        A server that only counts broken references may not: the same statement may mend as many as it breaks.
        """

    def in_order(self, table: Table, names: Sequence[str], keys: Sequence[KeyValue]) -> sa.ColumnElement[bool] | None:
        """Return what to add to the condition of a DELETE so that it deletes these rows in this order, one by one.

        None where the database has no such DELETE. It matters only where a key `checks_each_row`.
        """

    def by_key(self, table: Table, names: Sequence[str], *, downwards: bool) -> sa.ColumnElement[bool] | None:
        """Return what to add to the condition of a DELETE so that it deletes its rows one by one in the order of a key.

        It begins with the last row where `downwards`, else with the first. None where the database has no such
        DELETE, or where the order makes no difference.
        """

    def unseen(self, connection: sa.Connection, table: Table) -> Unseen:
        """Return what `all` does not tell this role of the keys that refer to the table."""

    def defer(self, connection: sa.Connection) -> None:
        """Let this transaction check every deferrable key at COMMIT."""
