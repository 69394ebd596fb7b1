"""The strategy block: a heap's blocks in disk order; PostgreSQL only, and for purges only."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.bulk.strategies.key import WORTH_SPLITTING, KeyStrategy
from batchops.bulk.strategies.strategy import Batch, Choice, Situation, StrategyKind, StrategyText, Target
from batchops.db.backend import Backend
from batchops.db.blocks import Blocks
from batchops.db.types import KeyValue
from batchops.runtime.batch_size import START_ROWS, Size
from batchops.sql.selection import Selection

PASSES = 2.0
"""How often the table is read if no row moves."""
FURTHER_PASSES = 3
"""The most further passes. A row that is updated while the DELETE waits for it moves to another block, which may be
behind the cursor."""


class BlockStrategy(KeyStrategy):
    """Follows the places of the rows in the table; a window is a number of blocks."""

    name = "block"
    by_key = False

    def __init__(self, backend: Backend, selection: Selection, blocks: Blocks, *, further_passes: int) -> None:
        super().__init__(backend, selection, (blocks.place,))
        self._blocks = blocks
        self._further_passes = further_passes
        self._per_block = blocks.rows_per_block(selection.table)

    def begin(self, connection: sa.Connection) -> Cursor:
        """Return a range from the first block to the last that exists now. Its token identifies the table's file."""
        last = self._blocks.last(connection, self._table)
        if last < 0:
            return Cursor(())
        storage = self._blocks.storage(connection, self._table)
        return Cursor((Range(self._blocks.start, self._blocks.end_of(last), token=storage),))

    def next(self, connection: sa.Connection, cursor: Cursor, size: Size) -> Batch | None:
        """Return the next batch as along a key; but start again if the table was rewritten meanwhile."""
        if not cursor.over and cursor.ranges[0].keys and (anew := self.relocated(connection, cursor)):
            return self._batch(None, anew, 0)
        if self._per_block > 2 * size.rows:  # one block alone may hold too many
            size = replace(size, exact=True)
        return super().next(connection, cursor, size)

    def _plain(self, connection: sa.Connection, cursor: Cursor, size: Size, end: KeyValue | None) -> Batch:
        """Return a plain range, empty if the table was rewritten; its statement checks that, without a round trip."""
        batch = super()._plain(connection, cursor, size, end)
        kept = self._blocks.kept(self._table, cursor.ranges[0].token)
        return replace(batch, where=kept if batch.where is None else sa.and_(batch.where, kept))

    def _listed(self, connection: sa.Connection, cursor: Cursor, size: Size, end: KeyValue | None) -> Batch:
        if anew := self.relocated(connection, cursor):
            return self._batch(None, anew, 0)
        return super()._listed(connection, cursor, size, end)

    def relocated(self, connection: sa.Connection, cursor: Cursor) -> Cursor | None:
        """Return the cursor without the range in progress if the table was rewritten; else None.

        After CLUSTER, VACUUM FULL or pg_repack every row has another place. A further pass finds what is left.
        """
        if cursor.over or self._blocks.storage(connection, self._table) == cursor.ranges[0].token:
            return None
        return replace(cursor.finished_range(), base=-1)

    def another_pass(self, connection: sa.Connection, cursor: Cursor, rows: int) -> Cursor | None:
        """Return a further pass, until one has changed nothing."""
        if rows == cursor.base or cursor.passes >= self._further_passes:
            return None
        return replace(self.begin(connection), passes=cursor.passes + 1, base=rows)

    def split(self, connection: sa.Connection, range_: Range) -> tuple[Range, Range] | None:  # noqa: ARG002
        """Split the range by number of blocks."""
        low, high = self._blocks.block_of(range_.after), self._blocks.block_of(range_.upto)
        if range_.keys or (high - low) * self._per_block < WORTH_SPLITTING:
            return None
        middle = self._blocks.end_of((low + high) // 2)
        return replace(range_, upto=middle), replace(range_, after=middle)

    def window(self, cursor: Cursor) -> sa.Select[Any] | None:  # noqa: ARG002
        """Return None: a window is a number of blocks, and needs no query."""
        return None

    def last(self, connection: sa.Connection, range_: Range) -> Range | None:  # noqa: ARG002
        """Return the last blocks of the range, with about START_ROWS rows."""
        before = self._blocks.block_of(range_.upto) - max(1, round(START_ROWS / self._per_block))
        return (
            None
            if before <= self._blocks.block_of(range_.after)
            else replace(range_, after=self._blocks.end_of(before))
        )

    def _end(self, connection: sa.Connection, range_: Range, read: int) -> KeyValue | None:  # noqa: ARG002  no look needed
        end = self._blocks.block_of(range_.after) + max(1, round(read / self._per_block))
        return None if end >= self._blocks.block_of(range_.upto) else self._blocks.end_of(end)

    def _reached(
        self,
        connection: sa.Connection,  # noqa: ARG002  no look needed
        keys: list[KeyValue],
        range_: Range,
        size: Size,  # noqa: ARG002
        end: KeyValue | None,
    ) -> tuple[list[KeyValue], KeyValue | None]:
        """Return the keys, and the last of them inside the window.

        A row that was updated meanwhile is locked at its new place, which may be far off.
        """
        upto = self._blocks.place_of(end or range_.upto)
        inside = [key for key in keys if self._blocks.place_of(key) <= upto]
        return keys, max(inside, key=self._blocks.place_of, default=range_.after)

    def _among(self, keys: Sequence[KeyValue]) -> sa.ColumnElement[bool] | None:
        """Return the condition with the range of blocks added: the server would else read the whole table."""
        listed = super()._among(keys)
        if listed is None:
            return None
        numbers = [self._blocks.block_of(key) for key in keys]
        before = min(numbers) - 1
        after = self._blocks.start if before < 0 else self._blocks.end_of(before)
        return sa.and_(self._within(after, self._blocks.end_of(max(numbers))), listed)

    def _read(self, connection: sa.Connection, after: KeyValue | None, upto: KeyValue | None) -> int:  # noqa: ARG002
        """Estimate the number of rows by the table's density; counting would read them twice."""
        (first, start), (last, end) = self._blocks.place_of(after), self._blocks.place_of(upto)
        return round((last - first) * self._per_block + min(end, self._per_block) - min(start, self._per_block))


def _choose(situation: Situation) -> Choice | None:
    leaves, blocks = situation.leaves, situation.backend.blocks
    tables = (situation.table,) if leaves is None else leaves
    if (
        situation.named
        or not tables
        or blocks is None
        or not all(blocks.serves(situation.connection, table) for table in tables)
    ):
        return None
    walked = None if situation.rows is None else PASSES * situation.rows
    cost = None if walked is None else walked + situation.repeated(walked)
    if leaves:
        return Choice(BlockStrategy.name, (), f"{situation.partitions}, each in disk order", leaves, cost)
    return Choice(BlockStrategy.name, (), "the table is read in disk order", cost=cost)


def _build(target: Target) -> BlockStrategy:
    blocks = target.backend.blocks
    assert blocks is not None  # chosen because they exist, and pinned with the table's identity
    further = FURTHER_PASSES if target.look_again else 0
    return BlockStrategy(target.backend, target.selection, blocks, further_passes=further)


STRATEGY = StrategyKind(
    BlockStrategy.name,
    StrategyText(
        follows="the table's blocks, in disk order",
        chosen="if much of the table matches, or the server has no faster plan for the condition",
        verbs="purge",
        databases="PostgreSQL 14 or later",
        refusal="only a PostgreSQL heap, from version 14 on, can be scanned by block",
    ),
    _choose,
    _build,
)
