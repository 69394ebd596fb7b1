"""A step of a plain purge whose table refers to itself: no row is deleted before those that refer to it."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import sqlalchemy as sa

from batchops.bulk.children.families import Families
from batchops.bulk.children.shape import Row
from batchops.bulk.children.step import FamilyStep
from batchops.bulk.children.taken import ChildrenOfRun
from batchops.bulk.execution import Execution, InexactError
from batchops.bulk.failing_condition import next_batch, ready
from batchops.bulk.isolate_rejected import SearchResult
from batchops.bulk.strategies.strategy import Batch, FromEnd, Strategy
from batchops.db.database import Database
from batchops.db.table import Table
from batchops.errors import RowRefusedError
from batchops.ledger.ledger import Ledger
from batchops.ledger.run import Worker
from batchops.runtime.batch_size import Size
from batchops.runtime.outcome import Outcome

MOST_BATCHES = 64
"""The most batches with the rows that refer to theirs, before whole windows are tried again."""


class OwnRowsStep(FamilyStep):
    """Deletes whole windows from the end of the key, as most rows refer to an earlier one. It relies on the server to
    refuse a row that others refer to. Then it deletes windows from the beginning. If the server refuses that too, it
    makes some batches of rows together with the matching rows that refer to them."""

    def __init__(
        self, database: Database, strategy: Strategy, execution: Execution, ledger: Ledger, worker: Worker,
        renew: Callable[[sa.Connection], None], children: ChildrenOfRun,
    ) -> None:  # fmt: skip
        super().__init__(database, strategy, execution, ledger, worker, renew, children)
        self._windows = _window_strategy(database, strategy, children)
        self._from_end = True
        self._careful, self._pause = 0, 1
        """How many more batches are made with the rows that refer to theirs; and how many after the next refusal."""

    def _next(self, size: Size) -> Outcome | None:
        refused = 0.0
        while self._windows is not None and self._takes_window(size):
            begun = time.perf_counter()
            try:
                outcome = self._whole_window(self._windows, size)
            except RowRefusedError:
                refused += time.perf_counter() - begun
                self._refused()
                continue
            except InexactError:
                self._careful = 1
                continue
            if outcome is not None:
                return replace(outcome, extra_seconds=outcome.extra_seconds + refused)
        self._careful = max(0, self._careful - 1)
        outcome = super()._next(size)
        return outcome and replace(outcome, extra_seconds=outcome.extra_seconds + refused)

    def _takes_window(self, size: Size) -> bool:
        """Whether the next batch may be a whole window."""
        if self.cursor.over or self._searching or self._careful or size.skip_locked:
            return False
        return not self.cursor.ranges[0].keys

    def _refused(self) -> None:
        """Turn to the other end of the key; if both refused, make batches with the rows that refer to theirs."""
        self._from_end = not self._from_end
        if self._from_end:
            self._careful, self._pause = self._pause, min(MOST_BATCHES, 2 * self._pause)

    def _whole_window(self, strategy: FromEnd, size: Size) -> Outcome | None:
        """Delete a window of the key; return None if its rows have to be listed."""
        reading = ready(strategy, self.cursor)
        window = replace(size, exact=False, read=min(size.read, size.rows)) if size.exact else size
        with self._transaction() as connection:
            if self._from_end:
                batch = strategy.from_end(connection, self.cursor, window)
            else:
                batch = next_batch(self._database, strategy, connection, self.cursor, window)
            if batch is None:
                self._careful = 1
                return None
            rows = self._deleted(connection, batch)
            if size.exact and rows > size.rows:  # others have inserted into the window
                raise InexactError
            after = self._advanced(batch.cursor, batch, rows, 0)
            self._note(connection, after, ())
            self._execution.record(connection, batch, after)
        self._pause = 1
        return replace(self._recorded(after), size=size, extra_seconds=reading, last=batch.cursor.over)

    def _deleted(self, connection: sa.Connection, batch: Batch) -> int:
        by_key = self._database.backend.foreign_keys.by_key
        order = by_key(batch.selection.table, batch.key, downwards=self._from_end)
        return self._execution.work(connection, replace(batch, order=order))

    def _worked(self, connection: sa.Connection, batch: Batch) -> SearchResult:
        if self._searching and batch.keys:
            return super()._worked(connection, batch)
        return SearchResult(0, ()) if batch.where is None else self._matching(connection, batch)

    def _matching(self, connection: sa.Connection, batch: Batch) -> SearchResult:
        """Delete the batch's rows with those that refer to them and match too."""
        assert self._families is not None  # _begin has set it
        rows = self._locked(connection, batch)
        fits, blocked = self._families.remove_matching(rows)
        if not fits:
            self._open_family(len(rows))
        self._parents += len(rows)
        keys = [self._shapes.root.key_of(row) for row in rows]
        return SearchResult(self._gone, tuple((key, blocked[key]) for key in keys if key in blocked))

    def _removed(self, families: Families, root: Table, parents: list[Row]) -> bool:  # noqa: ARG002  overrides
        fits, blocked = families.remove_matching(parents)
        for reason in blocked.values():
            raise RowRefusedError(reason)
        return fits

    @property
    def _by_table(self) -> Counter[str]:
        """Always empty: all rows are of one table."""
        return Counter()


def step_of(children: ChildrenOfRun) -> type[FamilyStep]:
    """Return the class of the step that deletes the run's rows."""
    return OwnRowsStep if children.all_match else FamilyStep


def _window_strategy(database: Database, strategy: Strategy, children: ChildrenOfRun) -> FromEnd | None:
    """Return the strategy if a DELETE of a window surely fails when other rows refer to its rows; else None."""
    graph, foreign_keys = children.shapes.graph, database.backend.foreign_keys
    if graph.root.may_veto or not isinstance(strategy, FromEnd):
        return None
    with database.reading() as connection:
        if not foreign_keys.refuses_each(connection, graph.root):
            return None
    in_order = foreign_keys.by_key(graph.root, children.shapes.root.key, downwards=True) is not None
    for edge in graph.edges:
        if not edge.enforced or edge.deferred or (foreign_keys.checks_each_row(edge.on_delete) and not in_order):
            return None
    return strategy
