"""Follows the addresses of the matching rows, which are read once a pass by the server's own plan."""

import time
from array import array
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.bulk.strategies.key import WORTH_SPLITTING, KeyStrategy
from batchops.bulk.strategies.matches import Matches
from batchops.bulk.strategies.strategy import Batch, Target
from batchops.db.addresses import Addresses, Numbers
from batchops.db.table import quoted
from batchops.db.types import KeyValue
from batchops.runtime.batch_size import Size


class MatchStrategy(KeyStrategy):
    """Follows a key of whole numbers from one matching row to the next."""

    name = "match"

    def __init__(self, target: Target, addresses: Addresses) -> None:
        super().__init__(target.backend, target.selection, target.key)
        self._read_by(target, addresses)

    def _read_by(self, target: Target, addresses: Addresses) -> None:
        width = addresses.width(self._table, self._key)
        assert width is not None  # chosen because of it, and pinned with the key's types
        self._addresses = addresses
        self._matches = Matches(addresses, width, target.reading, self._part, self._halved)

    def ready(self, cursor: Cursor) -> float:
        """Read the matching rows of the range in hand, unless that was done before."""
        if cursor.over or cursor.ranges[0].keys or self._matches.of(cursor.passes, cursor.ranges[0]) is not None:
            return 0.0
        begun = time.perf_counter()
        self._matches.read(cursor.passes, cursor.ranges[0])
        return time.perf_counter() - begun

    def next(self, connection: sa.Connection, cursor: Cursor, size: Size) -> Batch | None:
        """The next matching rows by their addresses, or all that match among them where they lie close together."""
        if cursor.over or cursor.ranges[0].keys:
            return super().next(connection, cursor, size)
        range_ = cursor.ranges[0]
        spool = self._matches.of(cursor.passes, range_) or self._matches.read(cursor.passes, range_)
        start, end = spool.between(*self._matches.bounds(range_))
        stop = min(end, start + min(size.rows, self._addresses.longest_list))
        if start == stop:
            return self._batch(None, cursor.finished_range(), 0)
        found, first, last = spool.slice(start, stop), spool[start], spool[stop - 1]
        behind = cursor.finished_range() if stop == end else cursor.moved(self._addresses.key(last))
        if size.skip_locked:
            return self._without_locked(connection, behind, range_, self._keys(found), size)
        if size.exact or self._table.may_veto:
            batch = replace(self._one_by_one(range_, behind, found), keys=self._keys(found))
            return replace(batch, found=batch.read)
        return self._together(cursor, behind, found, first, last) or self._one_by_one(range_, behind, found)

    def split(self, connection: sa.Connection, range_: Range) -> tuple[Range, Range] | None:
        """In the middle of the rows that were read."""
        spool = None if range_.keys else self._matches.latest(range_)
        if spool is None:
            return super().split(connection, range_)
        start, end = spool.between(*self._matches.bounds(range_))
        if end - start < WORTH_SPLITTING:
            return None
        middle = self._addresses.key(spool[(start + end) // 2])
        return replace(range_, upto=middle), replace(range_, after=middle)

    def middle(self, connection: sa.Connection, range_: Range) -> Range | None:  # noqa: ARG002
        """None: one statement is like any other."""
        return None

    def window(self, cursor: Cursor) -> sa.Select[Any] | None:  # noqa: ARG002
        """None: the rows that were read say where a batch ends."""
        return None

    def last(self, connection: sa.Connection, range_: Range) -> Range | None:  # noqa: ARG002
        """None, as for the middle."""
        return None

    def first(self, connection: sa.Connection, cursor: Cursor) -> Batch | None:  # noqa: ARG002
        """With one row for the list: nothing is read for the plan."""
        if cursor.over:
            return None
        range_ = cursor.ranges[0]
        if range_.keys:
            return self._batch(self._among(range_.keys[: self._backend.keys.longest_list]), cursor, 0)
        assert range_.upto is not None  # the end was fixed as the range was made
        return self._one_by_one(range_, cursor, array("q", self._addresses.numbers(range_.upto)))

    def _one_by_one(self, range_: Range, behind: Cursor, found: "array[int]") -> Batch:  # noqa: ARG002
        """Exactly these rows."""
        where = self._addresses.among(self._table, self._key, found)
        return replace(self._batch(where, behind, len(found) // len(self._key)), key=self._key)

    def _together(
        self, cursor: Cursor, behind: Cursor, found: "array[int]", first: Numbers, last: Numbers  # noqa: ARG002
    ) -> Batch | None:  # fmt: skip
        """All that match from the first of these rows to the last; None where other rows lie between them."""
        return None

    def _without_locked(
        self, connection: sa.Connection, behind: Cursor, range_: Range, listed: tuple[KeyValue, ...], size: Size
    ) -> Batch:  # fmt: skip
        listed = listed[: self._backend.keys.longest_list]
        select = self._matching(self._backend.keys.among(self._table, self._key, listed))
        keys = self._lock(connection, select, size)
        left = self._left(self._values(connection, select), keys)
        return self._listed_batch(keys, self._revisit_later(behind, range_, left, 1), len(listed))

    def _keys(self, found: "array[int]") -> tuple[KeyValue, ...]:
        width = len(self._key)
        return tuple(
            self._addresses.key(numbers) for numbers in zip(*(found[i::width] for i in range(width)), strict=True)
        )

    def _part(self, connection: sa.Connection, range_: Range) -> sa.Select[Any] | None:  # noqa: ARG002
        """The bare key columns of the range's matching rows."""
        columns = [self._table.called.c[quoted(name)] for name in self._key]
        rows: sa.Select[Any] = self._table.alone(sa.select(*columns).select_from(self._table.called))
        return rows.where(self._selection.clause, self._within(range_.after, range_.upto), *self._filled)

    def _halved(self, connection: sa.Connection, range_: Range) -> tuple[Range, Range] | None:
        """By number, so that no row is counted for it."""
        low = range_.after or self._edge(connection, range_, upwards=True)
        middle = self._backend.keys.between(self._table, self._key, low, range_.upto) if low and range_.upto else None
        return (replace(range_, upto=middle), replace(range_, after=middle)) if middle else None
