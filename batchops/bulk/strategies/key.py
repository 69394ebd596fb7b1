"""The strategy key: windows of rows in the key's order, each visited once."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any

import sqlalchemy as sa

from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.bulk.strategies.key_stretch import KeyStretch
from batchops.bulk.strategies.strategy import VISITS, Batch
from batchops.db.backend import Backend
from batchops.db.table import count_rows, quoted
from batchops.db.types import KeyValue
from batchops.runtime.batch_size import START_ROWS, Size
from batchops.sql.selection import Selection

WORTH_SPLITTING = 20_000
"""A range with fewer rows is not worth a second worker."""


class KeyStrategy:
    """Follows the columns of `key` upwards, to the greatest key that exists at the start."""

    name = "key"
    by_key = True
    """Whether it follows a key of the table, and nothing else."""

    def __init__(self, backend: Backend, selection: Selection, key: Sequence[str]) -> None:
        self._backend = backend
        self._selection = selection
        self._table = selection.table
        self._key = tuple(key)
        self._locks = backend.sessions.locks_rows and selection.table.lockable
        """Whether listed rows are locked. If not, the writing statement leaves changed rows out by the condition."""
        self._out = [backend.keys.out(self._table, name).label(f"k{i}") for i, name in enumerate(self._key)]
        self._order = [backend.keys.order(self._table, name) for name in self._key]
        # A key with NULLs identifies only the rows without one; the pinned condition leaves the others out too.
        usable = not self.by_key or any(own.columns == self._key for own in self._table.keys)
        self._filled = [] if usable else [self._table.called.c[quoted(name)].is_not(None) for name in self._key]

    def begin(self, connection: sa.Connection) -> Cursor:
        """Return a range with all rows that may match, up to the greatest key that exists now."""
        found = KeyStretch(self._backend, self._selection, self._key, self._filled).range(connection)
        return Cursor(()) if found is None else Cursor((found,))

    def ready(self, cursor: Cursor) -> float:  # noqa: ARG002  the strategies' common shape
        """Return 0: this strategy reads nothing ahead."""
        return 0.0

    def next(self, connection: sa.Connection, cursor: Cursor, size: Size) -> Batch | None:
        """Return a plain range if it cannot hold more than twice the aim, else the listed keys of a wider one."""
        if cursor.over:
            return None
        range_ = cursor.ranges[0]
        if range_.keys:
            return self._revisit(connection, cursor, size)
        if size.listed or (self._table.may_veto and not size.unlocked):
            size = size.upto(self._backend.keys.longest_list)
            return self._listed(connection, cursor, size, self._end(connection, range_, size.read))
        return self._plain(connection, cursor, size, self._end(connection, range_, size.read))

    def _plain(self, connection: sa.Connection, cursor: Cursor, size: Size, end: KeyValue | None) -> Batch:
        range_ = cursor.ranges[0]
        read = size.read if end else self._read(connection, range_.after, range_.upto)
        batch = self._batch(self._within(range_.after, end or range_.upto), self._behind(cursor, end), read)
        return replace(batch, key=self._key)

    def from_end(self, connection: sa.Connection, cursor: Cursor, size: Size) -> Batch | None:
        """Return the last rows of the range in hand, as a plain range."""
        range_ = cursor.ranges[0]
        if range_.keys or size.listed:
            return None
        backwards = self._followed(range_).order_by(*(column.desc() for column in self._order))
        row = connection.execute(backwards.offset(size.read).limit(1)).first()
        begin = None if row is None else tuple(row)
        read = self._read(connection, range_.after, range_.upto) if begin is None else size.read
        within = self._within(range_.after if begin is None else begin, range_.upto)
        return replace(self._batch(within, cursor.before(begin), read), key=self._key)

    def split(self, connection: sa.Connection, range_: Range) -> tuple[Range, Range] | None:
        """Split at the middle value of the key, if values can be halved; else behind WORTH_SPLITTING rows."""
        if range_.keys:
            return None
        middle = self._middle(connection, range_)
        if middle is None or middle == range_.upto:
            return None
        return replace(range_, upto=middle), replace(range_, after=middle)

    def middle(self, connection: sa.Connection, range_: Range) -> Range | None:
        """Return the second half, as `split` makes it."""
        halves = self.split(connection, range_)
        return halves[1] if halves else None

    def window(self, cursor: Cursor) -> sa.Select[Any] | None:
        """Return the query for all keys up to the end of the range in progress."""
        upto = None if cursor.over else cursor.ranges[0].upto
        if upto is None:
            return None
        return self._followed(Range(None, upto)).order_by(*self._order).offset(START_ROWS - 1).limit(1)

    def last(self, connection: sa.Connection, range_: Range) -> Range | None:
        """Return the last START_ROWS rows of the range."""
        if range_.keys:
            return None
        backwards = self._followed(range_).order_by(*(column.desc() for column in self._order))
        row = connection.execute(backwards.offset(START_ROWS).limit(1)).first()
        return None if row is None else replace(range_, after=tuple(row))

    def another_pass(self, connection: sa.Connection, cursor: Cursor, rows: int) -> Cursor | None:  # noqa: ARG002
        """Return None: a range of keys also holds the rows that an update moved."""
        return None

    def relocated(self, connection: sa.Connection, cursor: Cursor) -> Cursor | None:  # noqa: ARG002
        """Return None: a key names the same row wherever the row lies."""
        return None

    def ahead(self, cursor: Cursor) -> list[sa.Select[Any]]:
        """Return a query for each range, and one for each list of keys to be visited again."""
        most = self._backend.keys.longest_list
        lists = [range_.keys[i : i + most] for range_ in cursor.ranges for i in range(0, len(range_.keys), most)]
        wheres = [self._within(range_.after, range_.upto) for range_ in cursor.ranges if not range_.keys]
        wheres += [self._backend.keys.among(self._table, self._key, keys) for keys in lists]
        return [self._matching(where).order_by(None) for where in wheres]

    def first(self, connection: sa.Connection, cursor: Cursor) -> Batch | None:
        """Return the batch with which `next` would begin."""
        if cursor.over:
            return None
        if keys := cursor.ranges[0].keys:
            return self._batch(self._among(keys[: self._backend.keys.longest_list]), cursor, 0)
        end = self._end(connection, cursor.ranges[0], START_ROWS)
        return self._plain(connection, cursor, Size(START_ROWS, START_ROWS), end)

    def _within(self, after: KeyValue | None, upto: KeyValue | None) -> sa.ColumnElement[bool]:
        """Return the condition for rows behind one key, up to and including another; both may have fewer columns."""
        bounds = [self._backend.keys.after(self._table, self._key[: len(after)], after)] if after is not None else []
        if upto is not None:
            bounds.append(self._backend.keys.upto(self._table, self._key[: len(upto)], upto))
        return sa.and_(sa.true(), *bounds)

    def _followed(self, range_: Range, columns: Sequence[sa.ColumnElement[Any]] = ()) -> sa.Select[Any]:
        """Return a SELECT of the keys, or of `columns`, of all rows in the range that this strategy reads."""
        rows: sa.Select[Any] = self._table.alone(sa.select(*(columns or self._out)).select_from(self._table.called))
        return rows.where(self._within(range_.after, range_.upto), *self._filled)

    def _end(self, connection: sa.Connection, range_: Range, read: int) -> KeyValue | None:
        """Return the key that ends a window of `read` rows; None if fewer are left."""
        columns = [column.label(f"k{i}") for i, column in enumerate(self._order)]
        ordered = self._followed(range_, columns).order_by(*self._order)
        # The one key is made exact outside: inside, the server would do that for every key that it skips.
        end = ordered.offset(read - 1).limit(1).subquery()
        row = connection.execute(sa.select(*(self._backend.keys.exact(column) for column in end.c))).first()
        return None if row is None else tuple(row)

    def _edge(self, connection: sa.Connection, range_: Range, *, upwards: bool) -> KeyValue | None:
        """Return the least or the greatest key of the range."""
        order = self._order if upwards else [column.desc() for column in self._order]
        row = connection.execute(self._followed(range_).order_by(*order).limit(1)).first()
        return None if row is None else tuple(row)

    def _middle(self, connection: sa.Connection, range_: Range) -> KeyValue | None:
        far = self._end(connection, range_, WORTH_SPLITTING)
        if far is None:
            return None
        low = range_.after or self._edge(connection, range_, upwards=True)
        high = range_.upto or self._edge(connection, range_, upwards=False)
        middle = self._backend.keys.between(self._table, self._key, low, high) if low and high else None
        return middle or far

    def _matching(self, where: sa.ColumnElement[bool]) -> sa.Select[Any]:
        """Return a SELECT of the keys of the matching rows among `where`, in order."""
        rows: sa.Select[Any] = self._table.alone(sa.select(*self._out).select_from(self._table.called))
        return rows.where(where, self._selection.clause).order_by(*self._order)

    def _listed(self, connection: sa.Connection, cursor: Cursor, size: Size, end: KeyValue | None) -> Batch:
        """Lock the window's first `size.rows` matches; a window without any still moves the cursor."""
        range_ = cursor.ranges[0]
        aim = size.rows
        keys = self._lock(connection, self._matching(self._within(range_.after, end or range_.upto)).limit(aim), size)
        read = size.read
        # A window that the list fills to its very end was not cut.
        full = len(keys) == aim and keys[-1] != end
        if full:
            keys, end = self._reached(connection, keys, range_, size, end)
            if not keys:
                return self._batch(None, cursor, 0, 0)  # all of them moved while it waited for their locks: look again
        if full or end is None:
            read = self._read(connection, range_.after, end or range_.upto)
        behind = self._behind(cursor, end)
        if size.skip_locked:
            every = self._values(connection, self._matching(self._within(range_.after, end or range_.upto)))
            behind = self._revisit_later(behind, range_, self._left(every, keys), 1)
        return self._listed_batch(keys, behind, read)

    def _revisit(self, connection: sa.Connection, cursor: Cursor, size: Size) -> Batch:
        """Return a batch of rows that were locked when the strategy met them; or refused, then the last ones first."""
        range_ = cursor.ranges[0]
        now, behind = cursor.to_revisit(min(size.rows, self._backend.keys.longest_list))
        select = self._matching(self._backend.keys.among(self._table, self._key, now))
        keys = self._lock(connection, select, size)
        left = self._left(self._values(connection, select), keys) if size.skip_locked else ()
        if range_.visits < VISITS:
            return self._listed_batch(keys, self._revisit_later(behind, range_, left, range_.visits + 1), len(now))
        return replace(self._listed_batch(keys, behind, len(now), len(left)), locked_keys=left)

    def _lock(self, connection: sa.Connection, select: sa.Select[Any], size: Size) -> list[KeyValue]:
        if self._locks and not size.unlocked:
            select = select.with_for_update(skip_locked=size.skip_locked)
        return self._values(connection, select)

    def _reached(
        self, connection: sa.Connection, keys: list[KeyValue], range_: Range, size: Size,
        end: KeyValue | None,  # noqa: ARG002
    ) -> tuple[list[KeyValue], KeyValue | None]:  # fmt: skip
        """Return the keys of a full list up to its first gap, and the key up to which they reach.

        If a row's key is changed while PostgreSQL waits for its lock, the row is listed with its new key. Rows that
        it has overtaken are not in the list.
        """
        if size.skip_locked or not self._locks:
            return keys, keys[-1]
        held = set(keys)
        every = self._values(connection, self._matching(self._within(range_.after, keys[-1])))
        gapless = list(takewhile(held.__contains__, every))
        return gapless, gapless[-1] if gapless else range_.after

    def _values(self, connection: sa.Connection, select: sa.Select[Any]) -> list[KeyValue]:
        return [tuple(row) for row in connection.execute(select).all()]  # one by one they take twice as long

    @staticmethod
    def _left(every: Sequence[KeyValue], taken: Sequence[KeyValue]) -> tuple[KeyValue, ...]:
        held = set(taken)
        return tuple(key for key in every if key not in held)

    @staticmethod
    def _revisit_later(cursor: Cursor, range_: Range, keys: tuple[KeyValue, ...], visits: int) -> Cursor:
        later = replace(range_, after=None, upto=None, keys=keys, visits=visits)
        return cursor.revisit_later(later) if keys else cursor

    def _among(self, keys: Sequence[KeyValue]) -> sa.ColumnElement[bool] | None:
        return self._backend.keys.among(self._table, self._key, keys) if keys else None

    @staticmethod
    def _behind(cursor: Cursor, end: KeyValue | None) -> Cursor:
        return cursor.finished_range() if end is None else cursor.moved(end)

    def _read(self, connection: sa.Connection, after: KeyValue | None, upto: KeyValue | None) -> int:
        """Return how many rows a window holds that was cut short."""
        window = self._followed(Range(after, upto)).subquery()
        return count_rows(connection, window)

    def _listed_batch(self, keys: Sequence[KeyValue], cursor: Cursor, read: int, locked: int = 0) -> Batch:
        """Return the batch of the listed rows."""
        batch = self._batch(self._among(keys), cursor, read, len(keys), locked)
        held = self._locks or self._backend.sessions.one_writer
        return replace(batch, key=self._key, keys=tuple(keys), by_keys=not self._selection.has_subselect, held=held)

    def _batch(
        self, where: sa.ColumnElement[bool] | None, cursor: Cursor, read: int, found: int | None = None, locked: int = 0
    ) -> Batch:
        return Batch(self._selection, where, cursor, read, found, locked)
