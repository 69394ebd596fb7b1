"""The walk over a partitioned table: partition after partition, each by a walk of its own."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import sqlalchemy as sa

from batchops.walks import Walk
from batchops.walks.cursor import Cursor, Range
from batchops.walks.part import Part, Size


class LeavesWalk:
    """`leaves` by the partition's identity; its ranges say which leaf they are of."""

    def __init__(self, leaves: Mapping[str, Walk]) -> None:
        self._leaves = leaves
        self.name = next((walk.name for walk in leaves.values()), "keys")

    def begin(self, connection: sa.Connection) -> Cursor:
        """Every leaf's whole way."""
        ranges: list[Range] = []
        for leaf, walk in self._leaves.items():
            ranges.extend(_of(leaf, walk.begin(connection)))
        return Cursor(tuple(ranges))

    def next(self, connection: sa.Connection, cursor: Cursor, size: Size) -> Part | None:
        """The next part of the leaf in hand."""
        return None if cursor.over else self._walk(cursor.ranges[0]).next(connection, cursor, size)

    def split(self, connection: sa.Connection, way: Range) -> tuple[Range, Range] | None:
        """As the leaf's own walk would."""
        return self._walk(way).split(connection, way)

    def again(self, connection: sa.Connection, cursor: Cursor, rows: int) -> Cursor | None:
        """Another turn over the leaves whose walk calls for one."""
        ranges: list[Range] = []
        for leaf, walk in self._leaves.items():
            further = walk.again(connection, cursor, rows)
            if further is not None:
                ranges.extend(_of(leaf, further))
        return Cursor(tuple(ranges), cursor.turn + 1, rows) if ranges else None

    def first(self, connection: sa.Connection, cursor: Cursor) -> Part | None:
        """The first part of the first leaf."""
        return None if cursor.over else self._walk(cursor.ranges[0]).first(connection, cursor)

    def _walk(self, way: Range) -> Walk:
        return self._leaves[way.leaf or ""]


def _of(leaf: str, cursor: Cursor) -> Iterator[Range]:
    return (replace(way, leaf=leaf) for way in cursor.ranges)
