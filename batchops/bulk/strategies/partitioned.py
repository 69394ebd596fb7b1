"""The walk over a partitioned table: partition after partition, each by a walk of its own."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from batchops.bulk.strategies import Walk
from batchops.bulk.strategies.batch import Part
from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.runtime.batch_size import Size


class LeavesWalk:
    """`leaves` by the partition's identity; its ranges say which leaf they are of."""

    def __init__(self, leaves: Mapping[str, Walk], name: str) -> None:
        self._leaves = leaves
        self.name = name

    def forget(self, leaf: str) -> None:
        """Leave a partition out that has been dropped."""
        self._leaves = {name: walk for name, walk in self._leaves.items() if name != leaf}

    def begin(self, connection: sa.Connection) -> Cursor:
        """Every leaf's whole way."""
        ranges: list[Range] = []
        for leaf, walk in self._leaves.items():
            ranges.extend(_of(leaf, walk.begin(connection)))
        return Cursor(tuple(ranges))

    def next(self, connection: sa.Connection, cursor: Cursor, size: Size) -> Part | None:
        """The next part of the leaf in hand."""
        while not cursor.over:
            walk = self._leaves.get(cursor.ranges[0].leaf or "")
            if walk is not None:
                return walk.next(connection, cursor, size)
            cursor = cursor.finished_range()  # detached or dropped since an earlier process began this run
        return None

    def split(self, connection: sa.Connection, way: Range) -> tuple[Range, Range] | None:
        """As the leaf's own walk would."""
        walk = self._leaves.get(way.leaf or "")
        return walk.split(connection, way) if walk else None

    def last(self, connection: sa.Connection, way: Range) -> Range | None:
        """As the leaf's own walk has it."""
        walk = self._leaves.get(way.leaf or "")
        return walk.last(connection, way) if walk else None

    def again(self, connection: sa.Connection, cursor: Cursor, rows: int) -> Cursor | None:
        """Another turn over the leaves whose walk calls for one."""
        ranges: list[Range] = []
        for leaf, walk in self._leaves.items():
            further = walk.again(connection, cursor, rows)
            if further is not None:
                ranges.extend(_of(leaf, further))
        return Cursor(tuple(ranges), cursor.turn + 1, rows) if ranges else None

    def astray(self, connection: sa.Connection, cursor: Cursor) -> Cursor | None:
        """As the walk of the leaf in hand says."""
        walk = None if cursor.over else self._leaves.get(cursor.ranges[0].leaf or "")
        return walk.astray(connection, cursor) if walk else None

    def ahead(self, cursor: Cursor) -> list[sa.Select[Any]]:
        """Those of each range in its leaf."""
        ways = [(self._leaves.get(way.leaf or ""), way) for way in cursor.ranges]
        return [rows for walk, way in ways if walk for rows in walk.ahead(replace(cursor, ranges=(way,)))]

    def first(self, connection: sa.Connection, cursor: Cursor) -> Part | None:
        """The first part of the first leaf."""
        walk = None if cursor.over else self._leaves.get(cursor.ranges[0].leaf or "")
        return walk.first(connection, cursor) if walk else None


def _of(leaf: str, cursor: Cursor) -> Iterator[Range]:
    return (replace(way, leaf=leaf) for way in cursor.ranges)
