"""A user's table as a queue, and the rows that are claimed from it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple, overload

import sqlalchemy as sa

from batchops.db.backend import Backend
from batchops.db.claims import OrderBy
from batchops.db.table import Table, quoted
from batchops.db.types import KeyValue
from batchops.db.value_formats import as_text
from batchops.sql.selection import Selection, user_sql

Assignments = tuple[tuple[str, str], ...]
"""Columns, each with the user's expression for it."""


@dataclass(frozen=True)
class Queue:
    """Which rows are pending, in which order they are claimed, and what marks them as done or failed."""

    selection: Selection
    """The pending rows. The database evaluates its time functions at each claim."""
    key: tuple[str, ...]
    order: tuple[OrderBy, ...] = ()
    """The order of claims; empty: by the key."""
    done: Assignments | None = None
    """What is set in a row that is done; None: it is deleted."""
    failed: Assignments = ()
    claimed: Assignments = ()
    """What is set in a row while it is leased."""
    work: Assignments = ()
    """What --set sets in a row as its work, in the same statement as `done`."""
    row_alone: bool = False
    """Whether the condition reads the row alone, so that the row itself shows whether it is pending."""

    @property
    def table(self) -> Table:
        return self.selection.table

    def marked_done(self) -> sa.Update | sa.Delete:
        """Return the statement that marks rows as done. The caller adds the condition that chooses them."""
        if self.done is None:
            return sa.delete(self.table.called)
        return sa.update(self.table.called).ordered_values(*self.values((*self.work, *self.done)))

    def values(self, assignments: Assignments) -> list[tuple[sa.ColumnElement[Any], Any]]:
        """Return the user's assignments as SQLAlchemy's columns and values."""
        return [(self.column(name), user_sql(f"({expression})")) for name, expression in assignments]

    def row_name(self, key: KeyValue) -> str:
        """Return the name of a row for people, by its key."""
        return ", ".join(f"{name}={as_text(value)}" for name, value in zip(self.key, key, strict=True))

    def column(self, name: str) -> sa.ColumnElement[Any]:
        """Return a column of the table."""
        return self.table.called.c[quoted(name)]

    def documents(self, backend: Backend) -> list[str]:
        """Return the columns that hold JSON documents."""
        return [column.name for column in self.table.columns if backend.events.is_document(column)]

    def ordering(self, backend: Backend) -> Sequence[sa.ColumnElement[Any]]:
        """Return the expressions that order rows for a claim."""
        if not self.order:
            return [backend.keys.order(self.table, name) for name in self.key]
        return [column for one in self.order for column in backend.claims.ordered(self.table, one)]


class Row(NamedTuple):
    """One claimed row: its key, and the values that a handler gets."""

    key: KeyValue
    values: Mapping[str, Any]
    attempts: int = 1
    """Claims of this row so far, this one included."""


@dataclass(frozen=True)
class ClaimedRows(Sequence[Row]):
    """Claimed rows, stored by column: an object for each row would take as long as the work on it."""

    keys: Sequence[KeyValue]
    names: Sequence[str]
    """The names of the columns that a handler gets."""
    contents: Sequence[Sequence[Any]]
    """The values of each row in these columns."""
    attempts: Sequence[int]

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, at: int) -> Row: ...
    @overload
    def __getitem__(self, at: slice) -> "ClaimedRows": ...
    def __getitem__(self, at: int | slice) -> "Row | ClaimedRows":
        if isinstance(at, slice):
            return ClaimedRows(self.keys[at], self.names, self.contents[at], self.attempts[at])
        return Row(self.keys[at], dict(zip(self.names, self.contents[at], strict=True)), self.attempts[at])

    def __iter__(self) -> Iterator[Row]:
        return map(Row, self.keys, self.values(), self.attempts)

    def values(self) -> list[dict[str, Any]]:
        """Return the rows for a handler, made anew each time: a handler may change them."""
        return _maker(tuple(self.names))(self.contents)

    def without_values(self) -> "ClaimedRows":
        """Return the same rows without their values, which are not needed after the work."""
        return ClaimedRows(self.keys, (), ((),) * len(self), self.attempts)


@cache
def _maker(names: tuple[str, ...]) -> Callable[[Sequence[Sequence[Any]]], list[dict[str, Any]]]:
    """Return code for these columns that makes a dict of each row; dict(zip()) takes three times as long."""
    values = [f"v{n}" for n in range(len(names))]
    pairs = ", ".join(f"{name!r}: {value}" for name, value in zip(names, values, strict=True))
    maker: Callable[[Sequence[Sequence[Any]]], list[dict[str, Any]]]
    maker = eval(f"lambda rows: [{{{pairs}}} for [{', '.join(values)}] in rows]")
    return maker


NO_ROWS = ClaimedRows((), (), (), ())


def by_columns(rows: Sequence[Row]) -> ClaimedRows:
    """Return the rows, stored by column; all have the same columns."""
    if isinstance(rows, ClaimedRows):
        return rows
    names = tuple(rows[0].values) if rows else ()
    contents = [tuple(row.values[name] for name in names) for row in rows]
    return ClaimedRows([row.key for row in rows], names, contents, [row.attempts for row in rows])


@dataclass(frozen=True)
class Claim:
    """Rows that are leased together, and the token that proves it."""

    token: str
    rows: ClaimedRows = NO_ROWS
    rescued: bool = False
    """Whether another worker held the rows before, whose heartbeat stopped."""
    claimed_at: float = 0.0
    """The time of the claim, by this process's own clock."""
    dead_letters: Sequence[tuple[Row, str]] = field(default=())
    """Rows that became dead letters instead of being claimed again, and why."""
    refused: Mapping[KeyValue, str] = field(default_factory=dict)
    """Rows that are leased without the mark of --claimed, with the refusal. They are not worked on."""

    @property
    def alone(self) -> bool:
        """Whether the claim is of one row by itself, so that it is to blame if its worker dies."""
        return self.token.startswith(ALONE)


ALONE = "one-"
"""The start of the token of a row that was claimed alone."""
