"""The walk over a heap's blocks, in the order they lie on the disk; PostgreSQL only, and for purges only."""

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa

from batchops.bulk.strategies.batch import Part
from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.bulk.strategies.key import WORTH_SPLITTING, KeysWalk
from batchops.db.backend import Blocks, Family
from batchops.db.types import KeyValue
from batchops.runtime.batch_size import START_ROWS, Size
from batchops.sql.selection import Selection

FURTHER_TURNS = 3
"""A row that is updated while the DELETE waits for it lives on in another block, maybe one behind the cursor."""


class BlocksWalk(KeysWalk):
    """Follows the row's place in the table; its window is a number of blocks."""

    name = "blocks"

    def __init__(self, family: Family, selection: Selection, blocks: Blocks, *, further_turns: int) -> None:
        super().__init__(family, selection, (blocks.place,))
        self._blocks = blocks
        self._further_turns = further_turns
        self._per_block = blocks.rows_per_block(selection.table)

    def begin(self, connection: sa.Connection) -> Cursor:
        """From the first block to the last that is there now."""
        last = self._blocks.last(connection, self._table)
        if last < 0:
            return Cursor(())
        storage = self._blocks.storage(connection, self._table)
        return Cursor((Range(self._blocks.start, self._blocks.end_of(last), storage=storage),))

    def next(self, connection: sa.Connection, cursor: Cursor, size: Size) -> Part | None:
        """As along a key; but a table that was written anew meanwhile is begun anew."""
        if not cursor.over and cursor.ranges[0].keys and (anew := self.astray(connection, cursor)):
            return self._part(None, anew, 0)
        if self._per_block > 2 * size.rows:  # one block alone may hold too many
            size = replace(size, exact=True)
        return super().next(connection, cursor, size)

    def _plain(self, connection: sa.Connection, cursor: Cursor, size: Size, end: KeyValue | None) -> Part:
        """Empty where the table was written anew: the statement itself sees to that, without a round trip for it."""
        part = super()._plain(connection, cursor, size, end)
        kept = self._blocks.kept(self._table, cursor.ranges[0].storage)
        return replace(part, where=kept if part.where is None else sa.and_(part.where, kept))

    def _listed(self, connection: sa.Connection, cursor: Cursor, size: Size, end: KeyValue | None) -> Part:
        if anew := self.astray(connection, cursor):
            return self._part(None, anew, 0)
        return super()._listed(connection, cursor, size, end)

    def astray(self, connection: sa.Connection, cursor: Cursor) -> Cursor | None:
        """After CLUSTER, VACUUM FULL, pg_repack every row has another place. Another turn finds what is left."""
        if cursor.over or self._blocks.storage(connection, self._table) == cursor.ranges[0].storage:
            return None
        return replace(cursor.finished_range(), base=-1)

    def again(self, connection: sa.Connection, cursor: Cursor, rows: int) -> Cursor | None:
        """Another turn, until one has changed nothing."""
        if rows == cursor.base or cursor.turn >= self._further_turns:
            return None
        return replace(self.begin(connection), turn=cursor.turn + 1, base=rows)

    def split(self, connection: sa.Connection, way: Range) -> tuple[Range, Range] | None:  # noqa: ARG002
        """By number of blocks."""
        low, high = self._blocks.block_of(way.after), self._blocks.block_of(way.upto)
        if way.keys or (high - low) * self._per_block < WORTH_SPLITTING:
            return None
        middle = self._blocks.end_of((low + high) // 2)
        return replace(way, upto=middle), replace(way, after=middle)

    def last(self, connection: sa.Connection, way: Range) -> Range | None:  # noqa: ARG002
        """So many blocks before its end."""
        before = self._blocks.block_of(way.upto) - max(1, round(START_ROWS / self._per_block))
        return None if before <= self._blocks.block_of(way.after) else replace(way, after=self._blocks.end_of(before))

    def _end(self, connection: sa.Connection, way: Range, read: int) -> KeyValue | None:  # noqa: ARG002  no look needed
        end = self._blocks.block_of(way.after) + max(1, round(read / self._per_block))
        return None if end >= self._blocks.block_of(way.upto) else self._blocks.end_of(end)

    def _reached(
        self,
        connection: sa.Connection,  # noqa: ARG002  no look needed
        keys: list[KeyValue],
        way: Range,
        size: Size,  # noqa: ARG002
        end: KeyValue | None,
    ) -> tuple[list[KeyValue], KeyValue | None]:
        """The last key inside the window: a row updated meanwhile was locked at its new place, maybe far off."""
        upto = self._blocks.place_of(end or way.upto)
        inside = [key for key in keys if self._blocks.place_of(key) <= upto]
        return keys, max(inside, key=self._blocks.place_of, default=way.after)

    def _among(self, keys: Sequence[KeyValue]) -> sa.ColumnElement[bool] | None:
        """With the blocks they lie in: rather than look up many places, the server would read a table whole."""
        listed = super()._among(keys)
        if listed is None:
            return None
        numbers = [self._blocks.block_of(key) for key in keys]
        before = min(numbers) - 1
        after = self._blocks.start if before < 0 else self._blocks.end_of(before)
        return sa.and_(self._within(after, self._blocks.end_of(max(numbers))), listed)

    def _read(self, connection: sa.Connection, after: KeyValue | None, upto: KeyValue | None) -> int:  # noqa: ARG002
        """By the table's own density; counting would read them twice."""
        (first, start), (last, end) = self._blocks.place_of(after), self._blocks.place_of(upto)
        return round((last - first) * self._per_block + min(end, self._per_block) - min(start, self._per_block))
