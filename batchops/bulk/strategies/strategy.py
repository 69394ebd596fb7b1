"""What a strategy is: how it is chosen, how it finds rows, and the batch that it gives to an operation."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import sqlalchemy as sa

from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.bulk.strategies.id_spool import IdList
from batchops.bulk.strategies.own_changes import OwnReference
from batchops.db.backend import Backend
from batchops.db.planner import Work
from batchops.db.table import Key, Table
from batchops.db.types import KeyValue
from batchops.runtime.batch_size import Size
from batchops.sql.selection import Selection


@dataclass(frozen=True)
class Batch:
    """The next rows: those of `selection` that also match `where`; None: no row that was read matches."""

    selection: Selection
    where: sa.ColumnElement[bool] | None
    cursor: Cursor
    """The cursor once this batch is durable."""
    read: int
    found: int | None = None
    """Rows the selector locked for the operation; None where it did not look."""
    locked: int = 0
    """Matching rows given up on, because others held them at every visit."""
    locked_keys: tuple[KeyValue, ...] = ()
    """Those of them that were listed."""
    changed_keys: tuple[KeyValue, ...] = ()
    """Listed rows that are left as they are, because they were changed since."""
    limit: int | None = None
    """The most rows to take of `where`; below that, nothing is left of it."""
    key: tuple[str, ...] = ()
    """The columns that name its rows, where these are or can be listed."""
    keys: tuple[KeyValue, ...] = ()
    """The listed rows, where they were listed."""
    held: bool = False
    """Whether these match, and nobody else can change them before the transaction ends."""
    then: tuple[sa.Update, ...] = ()
    """What is written to the run's own tables once the rows are changed, in the same transaction."""
    by_keys: bool = False
    """Whether `where` names each row by its key, and the condition reads no table of its own."""
    order: sa.ColumnElement[bool] | None = None
    """What makes a DELETE go through its rows in an order, as its last condition."""

    @property
    def conditions(self) -> tuple[sa.ColumnElement[bool] | sa.TextClause, ...]:
        """The strategy's condition and the user's."""
        return (sa.true() if self.where is None else self.where, self.selection.clause)


class Strategy(Protocol):
    """Called inside the transaction that changes the rows, so that a retry calls it again."""

    name: str

    def begin(self, connection: sa.Connection) -> Cursor:
        """The whole range, its end fixed now."""

    def ready(self, cursor: Cursor) -> float:
        """Read what batches behind `cursor` are chosen from, outside of any transaction; seconds that this took."""

    def next(self, connection: sa.Connection, cursor: Cursor, size: Size) -> Batch | None:
        """The batch behind `cursor`; None once nothing is left."""

    def split(self, connection: sa.Connection, range_: Range) -> tuple[Range, Range] | None:
        """The range in two, of about the same size; None where that is not worth it."""

    def middle(self, connection: sa.Connection, range_: Range) -> Range | None:
        """The range's far half, for the plan; None where only reading would find it."""

    def window(self, cursor: Cursor) -> sa.Select[Any] | None:
        """The query that finds the end of a window behind some key; None if the strategy has no such query."""

    def last(self, connection: sa.Connection, range_: Range) -> Range | None:
        """The range's last window, for the plan; None where only reading would find it."""

    def another_pass(self, connection: sa.Connection, cursor: Cursor, rows: int) -> Cursor | None:
        """A further pass, once every worker has finished and the run has changed `rows`; None if none is needed."""

    def relocated(self, connection: sa.Connection, cursor: Cursor) -> Cursor | None:
        """Asked after an empty batch: the cursor to continue with, if the table was rewritten; else None."""

    def ahead(self, cursor: Cursor) -> Sequence[sa.Select[Any]]:
        """The keys of the matching rows behind `cursor`; for the plan and the end, nothing is locked."""

    def first(self, connection: sa.Connection, cursor: Cursor) -> Batch | None:
        """The first batch as a plain range, for the plan; nothing is locked."""


@runtime_checkable
class FromEnd(Strategy, Protocol):
    """A strategy that can follow its key downwards too."""

    def from_end(self, connection: sa.Connection, cursor: Cursor, size: Size) -> Batch | None:
        """The last rows of the range in hand; behind them it ends before them. None where they have to be listed."""


BATCH, CHANGED = 150_000, 5.0
"""Rows that a small machine reads in order in a batch of 50 ms; for how many of them a row counts that is changed."""
SAMPLE, SAMPLE_SECONDS = 5_000, 0.2
"""Rows that tell what share matches where the server does not know, and the time for that."""
VISITS = 2
"""How often a locked row is visited again; each visit waits for the lock as long as a statement may."""
AUTO = "auto"
"""The choice among all strategies."""


@dataclass(frozen=True)
class Situation:
    """What a strategy is chosen by."""

    connection: sa.Connection
    backend: Backend
    selection: Selection
    key: Key | None
    """The table's unique key that can be followed."""
    once: bool
    """Whether no row may be met twice, as in a backfill."""
    wanted: str = AUTO
    ids: IdList | None = None
    """The rows to change, where they are listed."""
    unstable: bool = False
    """Whether the condition or a value means something else in each batch, as the job changes what it reads."""
    keeps_lists: bool = False
    """Whether a list of rows can be kept: beside the ledger, which is in the database itself."""
    named: bool = False
    """Whether rows must be named by their key, as more is done to them than one statement does."""

    @property
    def table(self) -> Table:
        return self.selection.table

    @cached_property
    def matching(self) -> sa.Select[Any]:
        """The rows that the condition selects."""
        rows: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(self.table.called)
        return rows.where(self.selection.clause)

    @cached_property
    def leaves(self) -> tuple[Table, ...] | None:
        """Partitions that may hold such rows; None for a plain table, empty where only the parent can be processed."""
        partitions = self.backend.partitions
        found = partitions.leaves(self.connection, self.table, self.matching, "DELETE") if partitions else None
        return None if found is None else tuple(found)

    @cached_property
    def work(self) -> Work | None:
        """What the server itself has to do to find them, by its own estimate or by a sample."""
        work = self.backend.planner.work(self.connection, self.table, self.leaves or (self.table,), self.matching)
        if work is None or not work.guessed or self.key is None:
            return work
        share = self._share_of_the_first(self.key.columns)
        return (
            work if share is None else replace(work, rows=max(1, round(share * (self.rows or work.rows))), sampled=True)
        )

    def _share_of_the_first(self, names: tuple[str, ...]) -> float | None:
        """How many of the table's first rows match; None where it has fewer, or that takes too long."""
        keys, table = self.backend.keys, self.table
        order, columns = [keys.order(table, name) for name in names], [keys.out(table, name) for name in names]
        rows: sa.Select[Any] = sa.select(*columns).select_from(table.called).order_by(*order)
        last = self.connection.execute(table.alone(rows.offset(SAMPLE - 1).limit(1))).first()
        if last is None:
            return None
        first = keys.upto(table, names, tuple(last))
        counted = self.backend.facts.count_within(self.connection, self.matching.where(first), SAMPLE_SECONDS)
        return None if counted is None else counted / SAMPLE

    @property
    def costly(self) -> bool:
        """Whether a batch would take its whole time for what its condition reads of other tables."""
        return self.work is not None and self.work.again > BATCH

    def asked(self, walked: float) -> float:
        """What the condition reads of other tables row by row; twice where matches lie apart, as they are listed."""
        if self.work is None:
            return 0.0
        return self.work.others * (1 if 2 * self.work.rows > walked else 2)

    def repeated(self, walked: float) -> float:
        """What the condition reads of other tables once more, for a strategy whose batches read so many rows.

        For each row of them about as much as for the row itself; and what each batch begins with.
        """
        if self.work is None or not self.work.again:
            return 0.0
        rows_of_a_batch = max(BATCH - self.work.again, BATCH / 10)
        return walked + max(1.0, (2 * walked + CHANGED * self.work.rows) / rows_of_a_batch) * self.work.again

    @cached_property
    def rows(self) -> int | None:
        """Rows of the table, or of all partitions that may hold such rows."""
        known = [leaf.rows for leaf in self.leaves or (self.table,)]
        return None if None in known else sum(rows or 0 for rows in known)

    @property
    def partitions(self) -> str:
        """How many there are, for people."""
        return "1 partition" if len(self.leaves or ()) == 1 else f"{len(self.leaves or ())} partitions"


@dataclass(frozen=True)
class Choice:
    """A strategy by name, what it follows, and why it was chosen."""

    strategy: str
    key: tuple[str, ...]
    why: str
    leaves: tuple[Table, ...] = ()
    """The partitions to process one by one; none: the table itself."""
    cost: float | None = None
    """What it costs to find the rows, in rows of the table that are read in order; None: nobody knows."""
    sampled: int | None = None
    """How many rows match by a sample, where the server knows little of that."""


Reading = Callable[[], AbstractContextManager[sa.Connection]]
"""A transaction of its own that cannot write."""


@dataclass(frozen=True)
class Target:
    """What a strategy is built over: a table or one of its partitions."""

    connection: sa.Connection
    reading: Reading
    backend: Backend
    selection: Selection
    key: tuple[str, ...]
    """The columns that were chosen to be followed."""
    ids: IdList | None
    listed: Table | None
    """The list of rows that was made at the start."""
    values: int
    """How many columns the job sets."""
    sets_own: tuple[OwnReference, ...]
    """Foreign keys of the table to itself that change listed rows as others are deleted."""
    look_again: bool
    """Whether it may make further passes."""


@dataclass(frozen=True)
class StrategyText:
    """A strategy for people, as `batchops strategies` lists it."""

    follows: str
    chosen: str
    """When `--strategy auto` chooses it."""
    verbs: str
    databases: str
    refusal: str
    """Why a table cannot have it: what a refusal (exit 12) says."""


def _same_columns(followed: tuple[str, ...], key: tuple[str, ...]) -> bool:
    return not followed or followed == key


@dataclass(frozen=True)
class StrategyKind:
    """All that others may know of a strategy."""

    name: str
    text: StrategyText
    choose: Callable[[Situation], Choice | None]
    """None where the table cannot have it, or it would be of no use."""
    build: Callable[[Target], Strategy]
    once: bool = False
    """Whether it meets each row once, also where the job changes it: else it serves no backfill."""
    takes_ids: bool = False
    """Whether it follows a list of ids; nothing else may, and it follows nothing else."""
    reads_matches: bool = False
    """Whether it reads the matching rows alone; else the whole table."""
    starts_over: bool = False
    """Whether each batch begins at the start of the table."""
    evaluates_once: bool = False
    """Whether it changes what one statement has found at the start, and asks neither condition nor values again."""
    names_rows: bool = False
    """Whether the keys in its cursor name the same rows in a later run."""
    follows: Callable[[tuple[str, ...], tuple[str, ...]], bool] = _same_columns
    """Whether a run that follows these columns follows that key."""
    found_by: str = ""
    """What finds a batch's rows, in words; empty: an index on the columns that it follows."""
    faster: str = ""
    """What makes its batches read less of {table}; empty: the index that it follows."""
