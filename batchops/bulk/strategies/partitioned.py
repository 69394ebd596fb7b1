"""A strategy over a partitioned table: partition after partition, each by a strategy of its own."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.bulk.strategies.strategy import Batch, Strategy
from batchops.runtime.batch_size import Size


class PartitionedStrategy:
    """Processes each partition by the strategy that `leaves` has for its identity; each range names its partition."""

    def __init__(self, leaves: Mapping[str, Strategy], name: str) -> None:
        self._leaves = leaves
        self.name = name

    def forget(self, leaf: str) -> None:
        """Leave out a partition that has been dropped."""
        self._leaves = {name: strategy for name, strategy in self._leaves.items() if name != leaf}

    def begin(self, connection: sa.Connection) -> Cursor:
        """Return a cursor over the whole range of every partition."""
        ranges: list[Range] = []
        for leaf, strategy in self._leaves.items():
            ranges.extend(_of(leaf, strategy.begin(connection)))
        return Cursor(tuple(ranges))

    def ready(self, cursor: Cursor) -> float:
        """Let the strategy of the leaf in progress read ahead."""
        strategy = None if cursor.over else self._leaves.get(cursor.ranges[0].leaf or "")
        return strategy.ready(cursor) if strategy else 0.0

    def next(self, connection: sa.Connection, cursor: Cursor, size: Size) -> Batch | None:
        """Return the next batch of the leaf in progress."""
        while not cursor.over:
            strategy = self._leaves.get(cursor.ranges[0].leaf or "")
            if strategy is not None:
                return strategy.next(connection, cursor, size)
            cursor = cursor.finished_range()  # detached or dropped since an earlier process began this run
        return None

    def split(self, connection: sa.Connection, range_: Range) -> tuple[Range, Range] | None:
        """Split the range as the leaf's own strategy does."""
        strategy = self._leaves.get(range_.leaf or "")
        return strategy.split(connection, range_) if strategy else None

    def middle(self, connection: sa.Connection, range_: Range) -> Range | None:
        """Return the middle as the leaf's own strategy does."""
        strategy = self._leaves.get(range_.leaf or "")
        return strategy.middle(connection, range_) if strategy else None

    def window(self, cursor: Cursor) -> sa.Select[Any] | None:  # noqa: ARG002
        """Return None: each leaf has a query of its own."""
        return None

    def last(self, connection: sa.Connection, range_: Range) -> Range | None:
        """Return the last window as the leaf's own strategy does."""
        strategy = self._leaves.get(range_.leaf or "")
        return strategy.last(connection, range_) if strategy else None

    def another_pass(self, connection: sa.Connection, cursor: Cursor, rows: int) -> Cursor | None:
        """Return a further pass over the partitions whose strategy needs one."""
        ranges: list[Range] = []
        for leaf, strategy in self._leaves.items():
            further = strategy.another_pass(connection, cursor, rows)
            if further is not None:
                ranges.extend(_of(leaf, further))
        return Cursor(tuple(ranges), cursor.passes + 1, rows) if ranges else None

    def relocated(self, connection: sa.Connection, cursor: Cursor) -> Cursor | None:
        """Return what the strategy of the leaf in progress returns."""
        strategy = None if cursor.over else self._leaves.get(cursor.ranges[0].leaf or "")
        return strategy.relocated(connection, cursor) if strategy else None

    def ahead(self, cursor: Cursor) -> list[sa.Select[Any]]:
        """Return the queries of each range, from the strategy of its leaf."""
        ways = [(self._leaves.get(range_.leaf or ""), range_) for range_ in cursor.ranges]
        return [
            rows for strategy, range_ in ways if strategy for rows in strategy.ahead(replace(cursor, ranges=(range_,)))
        ]

    def first(self, connection: sa.Connection, cursor: Cursor) -> Batch | None:
        """Return the first batch of the first leaf."""
        strategy = None if cursor.over else self._leaves.get(cursor.ranges[0].leaf or "")
        return strategy.first(connection, cursor) if strategy else None


def _of(leaf: str, cursor: Cursor) -> Iterator[Range]:
    return (replace(range_, leaf=leaf) for range_ in cursor.ranges)
