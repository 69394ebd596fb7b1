"""The walk along a key: windows of so many rows, in the key's order, each visited once."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from batchops.db.family import Family, KeyValue
from batchops.selection import Selection
from batchops.walks.cursor import Cursor, Range
from batchops.walks.part import Part, Size

_VISITS = 2
"""How often a locked row is come back to; each visit waits for the lock as long as a statement may."""


class KeysWalk:
    """Follows `key`'s columns upwards, to the greatest that stands there at the start."""

    name = "keys"

    def __init__(self, family: Family, selection: Selection, key: Sequence[str]) -> None:
        self._family = family
        self._selection = selection
        self._table = selection.table
        self._key = tuple(key)
        self._out = [family.key_out(self._table, name).label(f"k{i}") for i, name in enumerate(self._key)]
        self._order = [family.key_order(self._table, name) for name in self._key]

    def begin(self, connection: sa.Connection) -> Cursor:
        """From the least key to the greatest that stands there now."""
        last = sa.select(*self._out).select_from(self._table.clause)
        row = connection.execute(last.order_by(*(c.desc() for c in self._order)).limit(1)).first()
        return Cursor(()) if row is None else Cursor((Range(None, self._value(row)),))

    def next(self, connection: sa.Connection, cursor: Cursor, size: Size) -> Part | None:
        """A plain range where it cannot hold more than twice the aim, else the listed keys of a wider one."""
        if cursor.over:
            return None
        way = cursor.ranges[0]
        if way.keys:
            return self._revisit(connection, cursor, size)
        end = self.end(connection, way, size.read)
        if size.exact or size.skip_locked or size.read > 2 * size.rows:
            return self._listed(connection, cursor, size, end)
        where = self.within(way.after, end or way.upto)
        read = size.read if end else self._count(connection, where)
        return Part(where, self._behind(cursor, end), read)

    def within(self, after: KeyValue | None, upto: KeyValue | None) -> sa.ColumnElement[bool]:
        """Rows behind one key, up to and with another."""
        bounds = [self._family.after(self._table, self._key, after)] if after is not None else []
        if upto is not None:
            bounds.append(self._family.upto(self._table, self._key, upto))
        return sa.and_(sa.true(), *bounds)

    def end(self, connection: sa.Connection, way: Range, read: int) -> KeyValue | None:
        """The key that ends a window of `read` rows; None where fewer are left."""
        select = sa.select(*self._out).select_from(self._table.clause).where(self.within(way.after, way.upto))
        row = connection.execute(select.order_by(*self._order).offset(read - 1).limit(1)).first()
        return None if row is None else self._value(row)

    def _matching(self, where: sa.ColumnElement[bool]) -> sa.Select[Any]:
        """The keys of the matching rows among `where`, in order."""
        select = sa.select(*self._out).select_from(self._table.clause)
        return select.where(where, self._selection.clause).order_by(*self._order)

    def _listed(self, connection: sa.Connection, cursor: Cursor, size: Size, end: KeyValue | None) -> Part:
        """Lock the window's first `size.rows` matches; a window without any still moves the cursor."""
        way = cursor.ranges[0]
        aim = min(size.rows, self._family.longest_list)
        select = self._matching(self.within(way.after, end or way.upto)).limit(aim)
        keys = self._lock(connection, select, size)
        read = size.read
        if len(keys) == aim:
            end = keys[-1]
        if len(keys) == aim or end is None:
            read = self._count(connection, self.within(way.after, end or way.upto))
        behind = self._behind(cursor, end)
        if size.skip_locked:
            every = self._values(connection, self._matching(self.within(way.after, end or way.upto)))
            behind = self._come_back(behind, Range(None, None, self._left(every, keys), 1))
        return Part(self._among(keys), behind, read, found=len(keys))

    def _revisit(self, connection: sa.Connection, cursor: Cursor, size: Size) -> Part:
        """Rows that were locked when the walk came by."""
        way = cursor.ranges[0]
        aim = min(size.rows, self._family.longest_list)
        now, rest = way.keys[:aim], way.keys[aim:]
        behind = cursor.finished_range()
        if rest:
            behind = Cursor((Range(None, None, rest, way.visits), *behind.ranges))
        select = self._matching(self._family.among(self._table, self._key, now))
        keys = self._lock(connection, select, size)
        left = self._left(self._values(connection, select), keys) if size.skip_locked else ()
        locked = len(left) if way.visits >= _VISITS else 0
        if left and not locked:
            behind = self._come_back(behind, Range(None, None, left, way.visits + 1))
        return Part(self._among(keys), behind, len(now), found=len(keys), locked=locked)

    def _lock(self, connection: sa.Connection, select: sa.Select[Any], size: Size) -> list[KeyValue]:
        if self._family.locks_rows:
            select = select.with_for_update(skip_locked=size.skip_locked)
        return self._values(connection, select)

    def _values(self, connection: sa.Connection, select: sa.Select[Any]) -> list[KeyValue]:
        return [self._value(row) for row in connection.execute(select)]

    def _value(self, row: sa.Row[Any]) -> KeyValue:
        return tuple(self._family.key_value(v) for v in row)

    @staticmethod
    def _left(every: Sequence[KeyValue], taken: Sequence[KeyValue]) -> tuple[KeyValue, ...]:
        """By their JSON text, as a tagged value is a dict and cannot stand in a set."""
        held = {repr(key) for key in taken}
        return tuple(key for key in every if repr(key) not in held)

    @staticmethod
    def _come_back(cursor: Cursor, later: Range) -> Cursor:
        return cursor.come_back(later) if later.keys else cursor

    def _among(self, keys: Sequence[KeyValue]) -> sa.ColumnElement[bool] | None:
        return self._family.among(self._table, self._key, keys) if keys else None

    @staticmethod
    def _behind(cursor: Cursor, end: KeyValue | None) -> Cursor:
        return cursor.finished_range() if end is None else cursor.moved(end)

    def _count(self, connection: sa.Connection, where: sa.ColumnElement[bool]) -> int:
        counted = sa.select(sa.func.count()).select_from(self._table.clause).where(where)
        return int(connection.execute(counted).scalar_one())
