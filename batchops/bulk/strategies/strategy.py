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
    """The next rows: those of `selection` that also match `where`. If `where` is None, no row that was read matches."""

    selection: Selection
    where: sa.ColumnElement[bool] | None
    cursor: Cursor
    """The cursor that holds once this batch is durable."""
    read: int
    found: int | None = None
    """How many rows the selector found, and locked if it could; None if it did not look."""
    locked: int = 0
    """How many matching rows are given up on, because others held their locks at every visit."""
    locked_keys: tuple[KeyValue, ...] = ()
    """The keys of such rows, if they were listed."""
    changed_keys: tuple[KeyValue, ...] = ()
    """The keys of listed rows that are left as they are, because they were changed since."""
    refused: tuple[tuple[KeyValue, str], ...] = ()
    """Keys and reasons of rows that are not in the batch, as the database refused them when they were copied."""
    limit: int | None = None
    """The most rows to take of `where`; if there are fewer, none is left."""
    key: tuple[str, ...] = ()
    """The columns that identify the rows, if these are or can be listed."""
    keys: tuple[KeyValue, ...] = ()
    """The keys of the rows, if they were listed."""
    held: bool = False
    """Whether the listed rows match, and nobody else can change them before the transaction ends."""
    then: tuple[sa.Update, ...] = ()
    """Statements that update the run's own tables after the rows are changed, in the same transaction."""
    by_keys: bool = False
    """Whether `where` names each row by its key, and the condition has no subselect."""
    keeps_no_place: bool = False
    """Whether the next batch meets the rows again that this one leaves, unless they wait in the cursor."""
    order: sa.ColumnElement[bool] | None = None
    """A last condition that makes a DELETE visit its rows in an order."""

    @property
    def conditions(self) -> tuple[sa.ColumnElement[bool] | sa.TextClause, ...]:
        """The strategy's condition and the user's."""
        return (sa.true() if self.where is None else self.where, self.selection.clause)


class Strategy(Protocol):
    """Finds the rows of batches, inside the transaction that changes them, so that a retry calls it again."""

    name: str

    def begin(self, connection: sa.Connection) -> Cursor:
        """Return a cursor over the whole range, whose end is fixed now."""

    def ready(self, cursor: Cursor) -> float:
        """Read what batches behind `cursor` are chosen from, outside of any transaction. Return the seconds spent."""

    def next(self, connection: sa.Connection, cursor: Cursor, size: Size) -> Batch | None:
        """Return the batch behind `cursor`; None if nothing is left."""

    def split(self, connection: sa.Connection, range_: Range) -> tuple[Range, Range] | None:
        """Return the range in two halves of about the same size; None if splitting it is not worthwhile."""

    def middle(self, connection: sa.Connection, range_: Range) -> Range | None:
        """Return the far half of the range, for the plan; None if only reading would find it."""

    def window(self, cursor: Cursor) -> sa.Select[Any] | None:
        """Return the query that finds the end of a window behind some key; None if the strategy has no such query."""

    def last(self, connection: sa.Connection, range_: Range) -> Range | None:
        """Return the last window of the range, for the plan; None if only reading would find it."""

    def another_pass(self, connection: sa.Connection, cursor: Cursor, rows: int) -> Cursor | None:
        """Return a further pass, once every worker has finished and the run has changed `rows`; None if none is due."""

    def relocated(self, connection: sa.Connection, cursor: Cursor) -> Cursor | None:
        """Return, after an empty batch, the cursor to continue with if the table was rewritten; else None."""

    def ahead(self, cursor: Cursor) -> Sequence[sa.Select[Any]]:
        """Return queries for the keys of the matching rows behind `cursor`, to count them. They lock nothing."""

    def first(self, connection: sa.Connection, cursor: Cursor) -> Batch | None:
        """Return the first batch as a plain range, for the plan. Nothing is locked."""


@runtime_checkable
class FromEnd(Strategy, Protocol):
    """A strategy that can follow its key downwards too."""

    def from_end(self, connection: sa.Connection, cursor: Cursor, size: Size) -> Batch | None:
        """Return the last rows of the range in hand, which then ends before them. None if they have to be listed."""


BATCH, CHANGED = 150_000, 5.0
"""How many rows a small machine reads in order in a batch of 50 ms, and how many of them a changed row counts for."""
SAMPLE, SAMPLE_SECONDS = 5_000, 0.2
"""How many rows are sampled for the share that matches, if the server does not know it; and the seconds for that."""
VISITS = 2
"""How often a locked row is visited again; each visit waits for the lock as long as a statement may."""
AUTO = "auto"
"""The choice among all strategies."""


@dataclass(frozen=True)
class Situation:
    """What the choice of a strategy depends on."""

    connection: sa.Connection
    backend: Backend
    selection: Selection
    key: Key | None
    """The table's unique key that can be followed."""
    once: bool
    """Whether no row may be met twice, as in a backfill."""
    wanted: str = AUTO
    ids: IdList | None = None
    """The rows to change, if the user listed them."""
    unstable: bool = False
    """Whether the condition or a value means something else in each batch, as the job changes what it reads."""
    keeps_lists: bool = False
    """Whether a list of rows can be kept: the ledger, beside which it lies, has to be in the database itself."""
    named: bool = False
    """Whether rows must be identified by their key, because more than one statement works on them."""

    @property
    def table(self) -> Table:
        return self.selection.table

    @cached_property
    def matching(self) -> sa.Select[Any]:
        """A SELECT of the rows that match the condition."""
        rows: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(self.table.called)
        return rows.where(self.selection.clause)

    @cached_property
    def leaves(self) -> tuple[Table, ...] | None:
        """Partitions that may hold matching rows; None for a plain table, empty if only the parent can be processed."""
        partitions = self.backend.partitions
        found = partitions.leaves(self.connection, self.table, self.matching, "DELETE") if partitions else None
        return None if found is None else tuple(found)

    @cached_property
    def work(self) -> Work | None:
        """What the server has to do to find the matching rows, by its own estimate or by a sample."""
        work = self.backend.planner.work(self.connection, self.table, self.leaves or (self.table,), self.matching)
        if work is None or not work.guessed or self.key is None:
            return work
        share = self._share_of_the_first(self.key.columns)
        return (
            work if share is None else replace(work, rows=max(1, round(share * (self.rows or work.rows))), sampled=True)
        )

    def _share_of_the_first(self, names: tuple[str, ...]) -> float | None:
        """Return the share of the table's first rows that match; None if it has fewer, or counting takes too long."""
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
        """Whether a batch would spend all of its time on what its condition reads of other tables."""
        return self.work is not None and self.work.again > BATCH

    def asked(self, walked: float) -> float:
        """Return the cost of what the condition reads of other tables for each row; twice if the rows get listed."""
        if self.work is None:
            return 0.0
        return self.work.others * (1 if 2 * self.work.rows > walked else 2)

    def repeated(self, walked: float) -> float:
        """Return the cost of what the condition reads of other tables again, for a strategy that reads `walked` rows.

        For each row it is about as much as for the row itself; and each batch reads `work.again` at its start.
        """
        if self.work is None or not self.work.again:
            return 0.0
        rows_of_a_batch = max(BATCH - self.work.again, BATCH / 10)
        return walked + max(1.0, (2 * walked + CHANGED * self.work.rows) / rows_of_a_batch) * self.work.again

    @cached_property
    def rows(self) -> int | None:
        """How many rows the table has, or all partitions that may hold matching rows; None if unknown."""
        known = [leaf.rows for leaf in self.leaves or (self.table,)]
        return None if None in known else sum(rows or 0 for rows in known)

    @property
    def partitions(self) -> str:
        """The number of partitions, for people."""
        return "1 partition" if len(self.leaves or ()) == 1 else f"{len(self.leaves or ())} partitions"


@dataclass(frozen=True)
class Choice:
    """The name of a strategy, the columns that it follows, and why it was chosen."""

    strategy: str
    key: tuple[str, ...]
    why: str
    leaves: tuple[Table, ...] = ()
    """The partitions to process one by one; empty: the table itself."""
    cost: float | None = None
    """The cost of finding the rows, in rows of the table that are read in order; None if unknown."""
    sampled: int | None = None
    """How many rows match by a sample, if the server's own estimate is a guess."""


Reading = Callable[[], AbstractContextManager[sa.Connection]]
"""Opens a read-only transaction of its own."""


@dataclass(frozen=True)
class Target:
    """What a strategy is built from: a table or one of its partitions, and what to do there."""

    connection: sa.Connection
    reading: Reading
    backend: Backend
    selection: Selection
    key: tuple[str, ...]
    """The columns that the strategy follows."""
    ids: IdList | None
    listed: Table | None
    """The list of rows that was made at the start, if there is one."""
    values: int
    """How many columns the job sets."""
    sets_own: tuple[OwnReference, ...]
    """Foreign keys of the table to itself that change listed rows when others are deleted."""
    look_again: bool
    """Whether the strategy may make further passes."""


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
    """What other modules know of a strategy."""

    name: str
    text: StrategyText
    choose: Callable[[Situation], Choice | None]
    """Returns None if the table cannot have the strategy, or it would be of no use."""
    build: Callable[[Target], Strategy]
    once: bool = False
    """Whether it meets each row once, even if the job changes the row. If not, it cannot serve a backfill."""
    takes_ids: bool = False
    """Whether it follows a list of ids, and nothing else. No other strategy may follow such a list."""
    reads_matches: bool = False
    """Whether it reads only the matching rows; else it reads the whole table."""
    starts_over: bool = False
    """Whether each batch begins at the start of the table."""
    evaluates_once: bool = False
    """Whether it changes rows that one statement found at the start, and evaluates condition and values only once."""
    names_rows: bool = False
    """Whether the keys in its cursor identify the same rows in a later run."""
    follows: Callable[[tuple[str, ...], tuple[str, ...]], bool] = _same_columns
    """Takes the columns that a run follows, and a key: whether the run follows that key."""
    found_by: str = ""
    """What finds a batch's rows, in words; empty: an index on the columns that it follows."""
    faster: str = ""
    """A hint on what makes its batches read less of {table}; empty: an index on the columns that it follows."""
