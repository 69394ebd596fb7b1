"""A user's table as a queue, and the rows that are taken from it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, overload

import sqlalchemy as sa

from batchops.db.backend import Backend
from batchops.db.claims import OrderBy
from batchops.db.table import Table, quoted
from batchops.db.types import KeyValue
from batchops.db.value_formats import as_text
from batchops.sql.selection import Selection, user_sql

Assignments = tuple[tuple[str, str], ...]
"""Columns with the user's expressions for them."""


@dataclass(frozen=True)
class Queue:
    """Which rows are pending, in what order they are taken, and what makes them done or failed."""

    selection: Selection
    """The pending rows. The database evaluates its time functions at each claim."""
    key: tuple[str, ...]
    order: tuple[OrderBy, ...] = ()
    """Empty: by the key."""
    done: Assignments | None = None
    """None: a row that is done is deleted."""
    failed: Assignments = ()
    claimed: Assignments = ()
    """What is set in a row for as long as it is leased."""
    work: Assignments = ()
    """What is set in a row as its work, beside `done`."""
    row_alone: bool = False
    """Whether a row says by itself whether it is pending, as the condition reads nothing else."""

    @property
    def table(self) -> Table:
        return self.selection.table

    def marked_done(self) -> sa.Update | sa.Delete:
        """The statement that makes rows done; which ones, the caller says."""
        if self.done is None:
            return sa.delete(self.table.called)
        return sa.update(self.table.called).ordered_values(*self.values((*self.work, *self.done)))

    def values(self, assignments: Assignments) -> list[tuple[sa.ColumnElement[Any], Any]]:
        """The user's assignments in SQLAlchemy's terms."""
        return [(self.column(name), user_sql(f"({expression})")) for name, expression in assignments]

    def row_name(self, key: KeyValue) -> str:
        """A row as it is named to people, by its key."""
        return ", ".join(f"{name}={as_text(value)}" for name, value in zip(self.key, key, strict=True))

    def column(self, name: str) -> sa.ColumnElement[Any]:
        """A column of the table."""
        return self.table.called.c[quoted(name)]

    def ordering(self, backend: Backend) -> Sequence[sa.ColumnElement[Any]]:
        """How rows are put in order to be claimed."""
        if not self.order:
            return [backend.keys.order(self.table, name) for name in self.key]
        return [column for one in self.order for column in backend.claims.ordered(self.table, one)]


class Row(NamedTuple):
    """One claimed row: what a handler gets of it, and what finds it again."""

    key: KeyValue
    values: Mapping[str, Any]
    attempts: int = 1
    """Claims of this row so far, this one included."""


@dataclass(frozen=True)
class ClaimedRows(Sequence[Row]):
    """Rows by columns: an object for each would take as long as what is done with them."""

    keys: Sequence[KeyValue]
    values: Sequence[Mapping[str, Any]]
    attempts: Sequence[int]

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, at: int) -> Row: ...
    @overload
    def __getitem__(self, at: slice) -> "ClaimedRows": ...
    def __getitem__(self, at: int | slice) -> "Row | ClaimedRows":
        if isinstance(at, slice):
            return ClaimedRows(self.keys[at], self.values[at], self.attempts[at])
        return Row(self.keys[at], self.values[at], self.attempts[at])

    def __iter__(self) -> Iterator[Row]:
        return map(Row, self.keys, self.values, self.attempts)

    def without_values(self) -> "ClaimedRows":
        """The same rows, once they have been worked on."""
        return ClaimedRows(self.keys, ({},) * len(self), self.attempts)


NO_ROWS = ClaimedRows((), (), ())


def by_columns(rows: Sequence[Row]) -> ClaimedRows:
    """The same rows."""
    if isinstance(rows, ClaimedRows):
        return rows
    return ClaimedRows([row.key for row in rows], [row.values for row in rows], [row.attempts for row in rows])


@dataclass(frozen=True)
class Claim:
    """Rows that are held together, and the token that proves it."""

    token: str
    rows: ClaimedRows = NO_ROWS
    rescued: bool = False
    """Whether another had held them, whose heartbeat stopped."""
    claimed_at: float = 0.0
    """When, by this process's own clock."""
    dead_letters: Sequence[tuple[Row, str]] = field(default=())
    """Rows that were given up on instead of being claimed once more, and why."""
    refused: Mapping[KeyValue, str] = field(default_factory=dict)
    """Rows that are held without the mark of a claim, as the database refuses it, and why: none is worked on."""

    @property
    def alone(self) -> bool:
        """Whether one row is held by itself, so that it is to blame for what happens to its holder."""
        return self.token.startswith(ALONE)


ALONE = "one-"
"""How the token of a row begins that was claimed by itself."""
