"""A list of the rows to change, as a table beside the ledger: what fills it, and how statements use it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import sqlalchemy as sa
from sqlalchemy.sql.elements import quoted_name

from batchops.db.backend import Backend
from batchops.db.row_lists import PROOF
from batchops.db.table import Column, Key, Table, quoted
from batchops.sql.selection import Selection, user_sql


@dataclass(frozen=True)
class RowList:
    """A complete list, as a run records it."""

    schema: str | None
    name: str
    rows: int
    key: tuple[str, ...]
    stored: tuple[str, ...]
    """The columns whose new values are in the list."""
    at: str
    """When it was made, in the database's time."""

    @staticmethod
    def of(kept: dict[str, Any]) -> "RowList":
        """Return the list from what `asdict` returned, after a round trip through JSON."""
        return RowList(**kept | {"key": tuple(kept["key"]), "stored": tuple(kept["stored"])})

    def table(self, of: Table) -> Table:
        """Return the list as a table. Its key columns have the names and types of the table whose rows it lists."""
        types = {column.name: column for column in of.columns}
        own = [types.get(name, Column(name, "INTEGER", nullable=False)) for name in self.key]
        more = [Column(name, "", nullable=True) for name in (*map(value_name, range(len(self.stored))), PROOF)]
        return Table(self.schema, self.name, "table", (*own, *more), (Key(self.key, primary=True),), "")


def value_name(place: int) -> str:
    """Return the name of the column for a stored value."""
    return f"batchops_v{place}"


def to_list(
    backend: Backend, table: Table, condition: str | None, key: Sequence[str], values: Sequence[str]
) -> sa.Select[Any]:
    """Return the SELECT that fills the list: keys, values and proofs of the rows that match."""
    columns = [
        *(backend.keys.order(table, name).label(quoted(name)) for name in key),
        *(sa.literal_column(f"({_text(value)})").label(quoted(value_name(i))) for i, value in enumerate(values)),
        backend.row_lists.proof(table).label(quoted(PROOF)),
    ]
    rows: sa.Select[Any] = sa.select(*columns).select_from(table.called)
    return table.alone(rows).where(Selection(table, condition).clause)


def _text(value: str) -> str:
    return user_sql(value).text


@dataclass(frozen=True, kw_only=True)
class ListedRows(Selection):
    """The rows of a list that nobody has changed since, each looked up in the list."""

    backend: Backend
    listed: Table

    @property
    def proven(self) -> sa.ColumnElement[bool]:
        """The condition that the row's proof is the one in the list."""
        return self.backend.row_lists.proof(self.table) == self.kept(PROOF)

    @property
    def clause(self) -> sa.ColumnElement[bool]:
        """The proof alone: the condition may mean something else now, after some of the rows are gone."""
        return self.proven

    def kept(self, column: str) -> sa.ColumnElement[Any]:
        """Return what the list has in its column `column` for a row of the table."""
        names = self.listed.keys[0].columns
        same = [self.listed.clause.c[quoted(name)] == self.backend.keys.order(self.table, name) for name in names]
        value = sa.select(self.listed.clause.c[quoted(column)]).where(*same)
        return value.correlate(self.table.called).scalar_subquery()


@runtime_checkable
class FollowsList(Protocol):
    """A strategy that changes the rows of a list."""

    @property
    def listed_rows(self) -> ListedRows | None: ...


@dataclass(frozen=True, kw_only=True)
class ProvenRows(ListedRows):
    """Rows of a list that the same transaction has found unchanged, and that nobody else can change before its end.

    The proof is not checked again: a foreign key of the table to itself may change some of them as others are deleted.
    """

    @property
    def clause(self) -> sa.ColumnElement[bool]:
        return sa.true()


@dataclass(frozen=True, kw_only=True)
class JoinedRows(ListedRows):
    """The rows of a stretch of the list that nobody has changed since, by a join with it.

    The join is with a sub-select: the user's values may use names that the list has too, or hidden columns.
    """

    stretch: sa.Subquery

    @property
    def same_row(self) -> sa.ColumnElement[bool]:
        """The condition that a row of the table is the row of the list."""
        names = self.listed.keys[0].columns
        keys = enumerate(self.backend.keys.order(self.table, name) for name in names)
        return sa.and_(*(column == self.stretch.c[_key_name(place)] for place, column in keys))

    @property
    def clause(self) -> sa.ColumnElement[bool]:
        return sa.and_(self.same_row, self.proven)

    def kept(self, column: str) -> sa.ColumnElement[Any]:
        return self.stretch.c[quoted(column)]


def joined_rows(of: ListedRows, within: sa.ColumnElement[bool]) -> JoinedRows:
    """Return `of` as a join with those rows of the list that are `within`."""
    listed = of.listed
    names = listed.keys[0].columns
    others = [column.name for column in listed.columns if column.name not in names]
    columns = [
        *(of.backend.keys.order(listed, name).label(_key_name(place)) for place, name in enumerate(names)),
        *(listed.clause.c[quoted(name)] for name in others),
    ]
    stretch = sa.select(*columns).where(within).subquery("batchops_stretch")
    return JoinedRows(of.table, of.condition, backend=of.backend, listed=listed, stretch=stretch)


def _key_name(place: int) -> quoted_name:
    return quoted(f"batchops_k{place}")
