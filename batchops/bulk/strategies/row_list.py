"""A list of the rows to change, as a table beside the ledger: what is read into it, and what a statement asks of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from batchops.db.backend import Backend
from batchops.db.row_lists import PROOF
from batchops.db.table import Column, Key, Table, quoted
from batchops.sql.selection import Selection, user_sql


@dataclass(frozen=True)
class RowList:
    """A list that is complete, as a run keeps it."""

    schema: str | None
    name: str
    rows: int
    key: tuple[str, ...]
    stored: tuple[str, ...]
    """The columns whose new values are in it."""
    at: str
    """When it was made, in the database's time."""

    @staticmethod
    def of(kept: dict[str, Any]) -> "RowList":
        """What `asdict` gave, through JSON."""
        return RowList(**kept | {"key": tuple(kept["key"]), "stored": tuple(kept["stored"])})

    def table(self, of: Table) -> Table:
        """It as a table; the columns of the key have their names and types from the table whose rows it lists."""
        types = {column.name: column for column in of.columns}
        own = [types.get(name, Column(name, "INTEGER", nullable=False)) for name in self.key]
        more = [Column(name, "", nullable=True) for name in (*map(value_name, range(len(self.stored))), PROOF)]
        return Table(self.schema, self.name, "table", (*own, *more), (Key(self.key, primary=True),), "")


def value_name(place: int) -> str:
    """The column for a stored value."""
    return f"batchops_v{place}"


def to_list(
    backend: Backend, table: Table, condition: str | None, key: Sequence[str], values: Sequence[str]
) -> sa.Select[Any]:
    """What is read into the list: keys, values and proofs of the rows that match."""
    columns = [
        *(backend.keys.order(table, name).label(quoted(name)) for name in key),
        *(sa.literal_column(f"({_text(value)})").label(quoted(value_name(i))) for i, value in enumerate(values)),
        backend.row_lists.proof(table).label(quoted(PROOF)),
    ]
    rows: sa.Select[Any] = sa.select(*columns).select_from(table.called)
    return table.alone(rows).where(Selection(table, condition).clause)


def _text(value: str) -> str:
    return user_sql(value).text


@dataclass(frozen=True)
class ListedRows(Selection):
    """The rows of a list that nobody has changed since."""

    proof: sa.ColumnElement[bool] | None = None

    @property
    def proven(self) -> sa.ColumnElement[bool] | None:
        """That the proof is the one in the list."""
        return self.proof

    @property
    def clause(self) -> sa.ColumnElement[bool] | sa.TextClause:
        """The proof alone: what the condition means now, after some of the rows are gone, may be something else."""
        return sa.true() if self.proof is None else self.proof


def listed_rows(backend: Backend, table: Table, listed: Table, condition: str | None) -> ListedRows:
    """The rows of `table` that `listed` proves; `condition`: by which they were found, for people."""
    proof = backend.row_lists.proof(table)
    return ListedRows(table, condition, proof=proof == kept(backend, table, listed, PROOF))


def kept(backend: Backend, table: Table, listed: Table, column: str) -> sa.ScalarSelect[Any]:
    """What the list has for a row of `table`."""
    names = listed.keys[0].columns
    same = [listed.clause.c[quoted(name)] == backend.keys.order(table, name) for name in names]
    return sa.select(listed.clause.c[quoted(column)]).where(*same).correlate(table.called).scalar_subquery()
