"""The strategy match by keys: follows the addresses of matching rows, which the server's own plan finds once a pass."""

import time
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.bulk.strategies.key import WORTH_SPLITTING, KeyStrategy
from batchops.bulk.strategies.matched_rows import MatchedRows, matched_rows
from batchops.bulk.strategies.matches import Matches
from batchops.bulk.strategies.strategy import Batch, Reading, Target
from batchops.db.types import KeyValue
from batchops.runtime.batch_size import Size

DENSE = 0.5
"""From this share of matching rows on, reading a whole stretch of the table is faster than looking up each row."""


class MatchStrategy(KeyStrategy):
    """Follows a key from one matching row to the next."""

    name = "match"

    def __init__(self, target: Target) -> None:
        super().__init__(target.backend, target.selection, target.key)
        self._read_by(target.reading, matched_rows(target.backend, self._table, self._key))

    def _read_by(self, reading: Reading, rows: MatchedRows) -> None:
        self._rows = rows
        self._matches = Matches(rows, reading, self._part, self._halved)

    def ready(self, cursor: Cursor) -> float:
        """Read the matching rows of the range in hand, unless that was done before. Return the seconds spent."""
        if cursor.over or cursor.ranges[0].keys or self._matches.of(cursor.passes, cursor.ranges[0]) is not None:
            return 0.0
        begun = time.perf_counter()
        self._matches.read(cursor.passes, cursor.ranges[0])
        return time.perf_counter() - begun

    def next(self, connection: sa.Connection, cursor: Cursor, size: Size) -> Batch | None:
        """Return the next matching rows by their addresses; if these lie close together, all that match among them."""
        if cursor.over or cursor.ranges[0].keys:
            return super().next(connection, cursor, size)
        range_ = cursor.ranges[0]
        found = self._matches.of(cursor.passes, range_) or self._matches.read(cursor.passes, range_)
        careful = size.exact or size.skip_locked
        most = self._backend.keys.longest_list if careful else self._rows.longest_list
        stop = min(found.end, found.start + min(size.rows, most))
        if found.start == stop:
            return self._batch(None, cursor.finished_range(), 0)
        some, last = found.spool.slice(found.start, stop), found.spool.key(stop - 1)
        behind = cursor.finished_range() if stop == found.end else cursor.moved(last)
        rows = stop - found.start
        if size.skip_locked:
            return self._without_locked(connection, behind, range_, self._rows.keys(some), size)
        if size.exact or self._table.may_veto:
            return replace(self._one_by_one(range_, behind, some, rows), found=rows, keys=self._rows.keys(some))
        together = self._together(cursor, behind, found.spool.key(found.start), last, rows)
        return together or self._one_by_one(range_, behind, some, rows)

    def from_end(self, connection: sa.Connection, cursor: Cursor, size: Size) -> Batch | None:  # noqa: ARG002
        """Return a batch of the last rows that were read."""
        range_ = cursor.ranges[0]
        if range_.keys or size.skip_locked:
            return None
        found = self._matches.of(cursor.passes, range_) or self._matches.read(cursor.passes, range_)
        start = max(found.start, found.end - min(size.rows, self._rows.longest_list))
        begin = found.spool.key(start - 1) if start > found.start else None
        if start == found.end:
            return self._batch(None, cursor.finished_range(), 0)
        some = found.spool.slice(start, found.end)
        return self._one_by_one(range_, cursor.before(begin), some, found.end - start)

    def split(self, connection: sa.Connection, range_: Range) -> tuple[Range, Range] | None:
        """Split the range in the middle of the rows that were read."""
        found = None if range_.keys else self._matches.latest(range_)
        if found is None:
            return super().split(connection, range_)
        if found.end - found.start < WORTH_SPLITTING:
            return None
        middle = found.spool.key((found.start + found.end) // 2)
        return replace(range_, upto=middle), replace(range_, after=middle)

    def middle(self, connection: sa.Connection, range_: Range) -> Range | None:  # noqa: ARG002
        """Return None: the statement for the middle is like any other."""
        return None

    def window(self, cursor: Cursor) -> sa.Select[Any] | None:  # noqa: ARG002
        """Return None: the rows that were read say where a batch ends."""
        return None

    def last(self, connection: sa.Connection, range_: Range) -> Range | None:  # noqa: ARG002
        """Return None: the statement for the end is like any other."""
        return None

    def first(self, connection: sa.Connection, cursor: Cursor) -> Batch | None:  # noqa: ARG002
        """Return a batch with one row in place of the list: nothing is read for the plan."""
        if cursor.over:
            return None
        range_ = cursor.ranges[0]
        if range_.keys:
            return self._batch(self._among(range_.keys[: self._backend.keys.longest_list]), cursor, 0)
        assert range_.upto is not None  # the end was fixed as the range was made
        return self._one_by_one(range_, cursor, self._rows.listed([range_.upto]), 0)

    def _one_by_one(self, range_: Range, behind: Cursor, some: Any, rows: int) -> Batch:  # noqa: ARG002
        """Return a batch of exactly these rows."""
        by_keys = not self._selection.has_subselect
        return replace(self._batch(self._rows.among(some), behind, rows), key=self._key, by_keys=by_keys)

    def _together(
        self, cursor: Cursor, behind: Cursor, first: KeyValue, last: KeyValue, rows: int  # noqa: ARG002
    ) -> Batch | None:  # fmt: skip
        """Return a batch of all that match from the first row to the last; None if many others may lie in between."""
        read = self._rows.most_between(first, last)
        if read is None or rows < DENSE * read:
            return None
        within = sa.and_(self._backend.keys.since(self._table, self._key, first), self._within(None, last))
        return replace(self._batch(within, behind, read), key=self._key)

    def _without_locked(
        self, connection: sa.Connection, behind: Cursor, range_: Range, listed: tuple[KeyValue, ...], size: Size
    ) -> Batch:  # fmt: skip
        select = self._matching(self._backend.keys.among(self._table, self._key, listed))
        keys = self._lock(connection, select, size)
        left = self._left(self._values(connection, select), keys)
        return self._listed_batch(keys, self._revisit_later(behind, range_, left, 1), len(listed))

    def _part(self, connection: sa.Connection, range_: Range) -> sa.Select[Any] | None:  # noqa: ARG002
        """Return a SELECT of the range's matching rows."""
        return self._found().where(self._within(range_.after, range_.upto), *self._filled)

    def _found(self) -> sa.Select[Any]:
        """Return a SELECT of all matching rows, with the columns and the order of the spool."""
        columns, order = self._rows.columns()
        rows: sa.Select[Any] = self._table.alone(sa.select(*columns).select_from(self._table.called))
        return rows.where(self._selection.unshielded).order_by(*order)

    def _halved(self, connection: sa.Connection, range_: Range) -> tuple[Range, Range] | None:
        """Split the range at the middle value of the key, so that no rows have to be counted."""
        low = range_.after or self._edge(connection, range_, upwards=True)
        middle = self._backend.keys.between(self._table, self._key, low, range_.upto) if low and range_.upto else None
        return (replace(range_, upto=middle), replace(range_, after=middle)) if middle else None
