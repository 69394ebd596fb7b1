"""Finds the parents of the next batch of families."""

from dataclasses import replace

import sqlalchemy as sa

from batchops.bulk.children.taken import ChildrenOfRun
from batchops.bulk.failing_condition import next_batch
from batchops.bulk.strategies.cursor import MARKED, Cursor
from batchops.bulk.strategies.strategy import Batch, FromEnd, Strategy
from batchops.db.database import Database
from batchops.runtime.batch_size import Size

UPWARDS = 64
"""How many batches are taken from the beginning of the key before its end is tried again."""


class Parents:
    """Finds parents; from the end of the key, if parents refer to each other. Most of them refer to an earlier one, so
    that few rows refer to the last ones."""

    def __init__(self, database: Database, strategy: Strategy, children: ChildrenOfRun) -> None:
        self._database, self._strategy, self._children = database, strategy, children
        own = children.shapes.component(children.shapes.graph.root).own
        self._downwards = strategy if own and isinstance(strategy, FromEnd) else None
        self._from_end = False
        """Whether the batch in hand was taken from the end of the key."""
        self._upwards = 0

    def next(self, connection: sa.Connection, cursor: Cursor, few: Size, *, listed: bool) -> Batch | None:
        """Return the next parents. One that is marked has to have the mark, and no longer to match the condition."""
        range_, mark = cursor.ranges[0], self._children.mark
        plain = not (listed or range_.keys or few.skip_locked or self._upwards) and 1 < few.rows >= few.read / 2
        self._from_end = plain and self._downwards is not None
        self._upwards = max(0, self._upwards - 1)
        if self._downwards is not None and self._from_end:
            return self._downwards.from_end(connection, cursor, replace(few, read=few.rows, exact=False))
        if range_.begun != MARKED or mark is None:
            return next_batch(self._database, self._strategy, connection, cursor, few)
        key, *rest = range_.keys
        behind = cursor.finished_range()
        if rest:
            behind = replace(behind, ranges=(replace(range_, keys=tuple(rest)), *behind.ranges))
        shape = self._children.shapes.root
        where = self._database.backend.keys.among(shape.table, shape.key, [key])
        selection = mark.selection(self._database.backend, shape.table)
        return Batch(selection, where, behind, 1, key=shape.key, keys=(key,))

    def elsewhere(self) -> bool:
        """Turn from the end of the key to its beginning; return whether that finds other parents than the last ones.

        Their families may be smaller.
        """
        if self._from_end:
            self._upwards = UPWARDS
        return self._from_end
