"""The walk along a list of ids: chunk after chunk of those that name a row, each once."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from batchops.bulk.strategies.batch import Part
from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.bulk.strategies.id_spool import IdList
from batchops.bulk.strategies.key import WORTH_SPLITTING, KeysWalk
from batchops.db.backend import Family
from batchops.runtime.batch_size import Size
from batchops.sql.selection import Selection

_SHOWN = 20
"""Ids in the statement that a plan shows."""


class IdsWalk(KeysWalk):
    """Its rows are always listed and locked; whichever of them no longer matches is passed over."""

    name = "ids"

    def __init__(self, family: Family, selection: Selection, key: Sequence[str], listed: IdList) -> None:
        super().__init__(family, selection, key)
        self._ids = listed

    def begin(self, connection: sa.Connection) -> Cursor:  # noqa: ARG002  the list alone says
        """From the first of the list to its last."""
        return Cursor((Range(None, None),)) if self._ids.rows else Cursor(())

    def next(self, connection: sa.Connection, cursor: Cursor, size: Size) -> Part | None:
        """The next ids of the list, as many as rows are wanted."""
        if cursor.over:
            return None
        way = cursor.ranges[0]
        if way.keys:
            return self._revisit(connection, cursor, size)
        aim = min(size.rows, self._family.longest_list)
        chunk = self._ids.next(way.after, way.upto, aim)
        behind = cursor.finished_range() if len(chunk) < aim else cursor.moved(chunk[-1])
        if not chunk:
            return self._part(None, behind, 0, 0)
        select = self._matching(self._family.among(self._table, self._key, chunk))
        keys = self._lock(connection, select, size)
        if size.skip_locked:
            behind = self._come_back(behind, way, self._left(self._values(connection, select), keys), 1)
        return self._those(keys, behind, len(chunk))

    def split(self, connection: sa.Connection, way: Range) -> tuple[Range, Range] | None:  # noqa: ARG002
        """In the middle of the list."""
        middle = None if way.keys else self._ids.middle(way.after, way.upto, WORTH_SPLITTING)
        if middle is None or middle == way.upto:
            return None
        return replace(way, upto=middle), replace(way, after=middle)

    def last(self, connection: sa.Connection, way: Range) -> Range | None:  # noqa: ARG002
        """One statement of this walk is like any other."""
        return None

    def ahead(self, cursor: Cursor) -> list[sa.Select[Any]]:
        """Chunk by chunk of the list."""
        rows = [one for way in cursor.ranges if way.keys for one in super().ahead(replace(cursor, ranges=(way,)))]
        for way in cursor.ranges:
            after = way.after
            while not way.keys and (chunk := self._ids.next(after, way.upto, self._family.longest_list)):
                rows.append(self._matching(self._family.among(self._table, self._key, chunk)).order_by(None))
                after = chunk[-1]
        return rows

    def first(self, connection: sa.Connection, cursor: Cursor) -> Part | None:  # noqa: ARG002
        """As `next` would begin; a list without any row has a statement too, which changes none."""
        keys = cursor.ranges[0].keys if cursor.ranges else ()
        if cursor.ranges and not keys:
            way = cursor.ranges[0]
            keys = tuple(self._ids.next(way.after, way.upto, _SHOWN))
        return self._part(self._among(keys) if keys else sa.false(), cursor, 0)
