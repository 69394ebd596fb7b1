"""The strategy match by the rows' places in a PostgreSQL heap, for purges."""

from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from batchops.bulk.strategies.block import BlockStrategy
from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.bulk.strategies.match_keys import DENSE, MatchStrategy
from batchops.bulk.strategies.matched_rows import WholeRows
from batchops.bulk.strategies.strategy import Batch, Target
from batchops.db.addresses import Addresses
from batchops.db.blocks import Blocks
from batchops.db.types import KeyValue
from batchops.runtime.batch_size import Size


class MatchByPlace(MatchStrategy, BlockStrategy):
    """Follows the rows' places in a heap. Further passes look for rows that were no longer at their places."""

    by_key = False

    def __init__(self, target: Target, places: Addresses, blocks: Blocks, *, further_passes: int) -> None:
        BlockStrategy.__init__(self, target.backend, target.selection, blocks, further_passes=further_passes)
        self._read_by(target.reading, WholeRows(places, target.backend.keys, self._table, self._key, 1))
        self._whole: Range | None = None
        """The range of the whole table, if this process itself began the pass in hand."""
        self._together_in: set[int] = set()
        """Passes in which rows were taken as ranges: the number of rows alone does not tell that each was there."""

    def begin(self, connection: sa.Connection) -> Cursor:
        """Return a range from the first block to the last that exists now."""
        cursor = super().begin(connection)
        self._whole = cursor.ranges[0] if cursor.ranges else None
        return cursor

    def another_pass(self, connection: sa.Connection, cursor: Cursor, rows: int) -> Cursor | None:
        """Return a further pass; None if each row that was read is known to be gone."""
        alone = self._whole is not None and cursor.base >= 0 and not self._table.only
        if alone and cursor.passes not in self._together_in and rows - cursor.base == self._matches.rows(cursor.passes):
            return None
        return super().another_pass(connection, cursor, rows)

    def _one_by_one(self, range_: Range, behind: Cursor, some: Any, rows: int) -> Batch:
        return self._in_this_file(super()._one_by_one(range_, behind, some, rows), range_)

    def _together(self, cursor: Cursor, behind: Cursor, first: KeyValue, last: KeyValue, rows: int) -> Batch | None:
        start = self._blocks.end_of(self._blocks.block_of(first) - 1) if self._blocks.block_of(first) else None
        read = round((self._blocks.block_of(last) - self._blocks.block_of(first) + 1) * self._per_block)
        if rows < DENSE * read:
            return None
        self._together_in.add(cursor.passes)
        batch = replace(self._batch(self._within(start, last), behind, max(rows, read)), key=self._key)
        return self._in_this_file(batch, cursor.ranges[0])

    def _in_this_file(self, batch: Batch, range_: Range) -> Batch:
        """Return the batch, empty if the table was rewritten; its statement checks that, with no round trip."""
        assert batch.where is not None  # the caller has just made it
        return replace(batch, where=sa.and_(batch.where, self._blocks.kept(self._table, range_.token)))

    def _without_locked(
        self, connection: sa.Connection, behind: Cursor, range_: Range, listed: tuple[KeyValue, ...], size: Size
    ) -> Batch:  # fmt: skip
        if anew := self.relocated(connection, Cursor((range_, *behind.ranges), behind.passes, behind.base)):
            return self._batch(None, anew, 0)
        return super()._without_locked(connection, behind, range_, listed, size)

    def _part(self, connection: sa.Connection, range_: Range) -> sa.Select[Any] | None:
        """Return a SELECT of the places of the range's matching rows; None if the table was rewritten."""
        if self._blocks.storage(connection, self._table) != range_.token:
            return None
        # A bound that leaves nothing out could still change the server's plan.
        return self._found() if range_ == self._whole else self._found().where(self._within(range_.after, range_.upto))

    def _halved(self, connection: sa.Connection, range_: Range) -> tuple[Range, Range] | None:  # noqa: ARG002
        """Split the range by number of blocks."""
        low, high = self._blocks.block_of(range_.after), self._blocks.block_of(range_.upto)
        middle = self._blocks.end_of((low + high) // 2)
        return (replace(range_, upto=middle), replace(range_, after=middle)) if high > low else None
