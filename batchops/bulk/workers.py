"""Several loops side by side over disjoint parts of one table.

The first worker starts with the whole range. A worker that has nothing to do takes
the far half of another worker's range. So uneven ranges even out, and a run can continue with any number of workers.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from batchops.bulk.step import BulkStep
from batchops.bulk.strategies.cursor import Cursor
from batchops.bulk.strategies.strategy import Strategy
from batchops.db.database import Database
from batchops.errors import BatchopsError, OutcomeUnknownError, TransientError
from batchops.ledger.ledger import Ledger
from batchops.ledger.run import Run, Worker
from batchops.runtime.batch_size import Size
from batchops.runtime.loop import RunStats
from batchops.runtime.outcome import Outcome
from batchops.runtime.stop import Stop

Wait = Callable[[threading.Condition, float], object]
"""Waits for the given seconds, or until it is notified; the condition is held before and after."""


class Workers:
    """The workers of one run, each with its step; a thread takes one at a time."""

    def __init__(
        self, database: Database, strategy: Strategy, ledger: Ledger, run: Run, step: Callable[[Worker], BulkStep],
        stop: Stop, stats: RunStats, wait: Wait = threading.Condition.wait,
    ) -> None:  # fmt: skip
        self._database = database
        self._strategy = strategy
        self._ledger = ledger
        self._step = step
        self._stop = stop
        self._stats = stats
        self._wait = wait
        self._idle = [step(worker) for worker in run.workers]
        self._active: list[BulkStep] = []
        self._next_worker = len(run.workers)
        self._changed = threading.Condition(threading.RLock())

    def take_step(self, mine: BulkStep | None) -> BulkStep | None:
        """Return a step with rows left for a thread whose own step, `mine`, has none; None if nothing is left."""
        with self._changed:
            if mine is not None:
                self.release(mine)
            while not self._stop.asked:
                found = self._unfinished() or self._half_of_another() if self._active else self._unfinished()
                if found is not None:
                    self._active.append(found)
                    return found
                if not self._active:
                    found = self._another_pass()
                    if found is None:
                        self._changed.notify_all()
                        return None
                    continue
                # Another worker's batches change what can be split, and its end may call for another pass.
                self._wait(self._changed, 0.2)
        return None

    def release(self, mine: BulkStep) -> None:
        """Take back a step that its thread no longer needs."""
        with self._changed:
            self._active.remove(mine)
            self._idle.append(mine)
            self._changed.notify_all()

    def _unfinished(self) -> BulkStep | None:
        found = next((step for step in self._idle if not step.cursor.over), None)
        if found is not None:
            self._idle.remove(found)
        return found

    def _half_of_another(self) -> BulkStep | None:
        for other in self._active:
            with suppress(TransientError), other.between_batches:
                halves = self._halves(other)
                if halves is not None:
                    return self._hand_over(other, *halves)
        return None

    def _halves(self, other: BulkStep) -> tuple[Cursor, Cursor] | None:
        cursor = other.cursor
        if other.in_doubt or cursor.over:
            return None
        if len(cursor.ranges) > 1:
            kept = (len(cursor.ranges) + 1) // 2
            return replace(cursor, ranges=cursor.ranges[:kept]), replace(cursor, ranges=cursor.ranges[kept:])
        with self._database.reading() as connection:
            parts = self._strategy.split(connection, cursor.ranges[0])
        if parts is None:
            return None
        return replace(cursor, ranges=(parts[0],)), replace(cursor, ranges=(parts[1],))

    def _hand_over(self, other: BulkStep, kept: Cursor, given: Cursor) -> BulkStep:
        """Give a worker the range `given`, and leave `kept` to the other one.

        One transaction records both, so that no key belongs to two workers or to none.
        """
        spare = self._idle.pop() if self._idle else None
        try:
            with self._ledger.database.transaction() as connection:
                left = self._ledger.reassign(connection, other.worker, kept.dumped())
                if spare is None:
                    worker = self._ledger.new_worker(connection, other.worker.run, self._next_worker, given.dumped())
                else:
                    worker = self._ledger.reassign(connection, spare.worker, given.dumped())
        except BatchopsError as error:
            if spare is not None:
                self._idle.append(spare)
            self._stop_if_unknown(error)
            raise
        other.worker = left
        if spare is None:
            self._next_worker += 1
            return self._step(worker)
        spare.worker = worker
        return spare

    def _another_pass(self) -> BulkStep | None:
        """Begin a further pass, once every worker has finished; return its first step, or None if no pass is due."""
        if not self._idle:
            return None
        first = self._idle[0]
        changed = sum(step.worker.rows for step in self._idle)
        cursor = min((step.cursor for step in self._idle), key=lambda c: (-c.passes, c.base))
        with self._database.reading() as connection:
            again = self._strategy.another_pass(connection, cursor, changed)
        if again is None:
            return None
        try:
            with self._ledger.database.transaction() as connection:
                for step in self._idle:
                    # Rows that were locked in the last pass are met again; they must not be counted twice.
                    range_ = again if step is first else step.cursor
                    step.worker = self._ledger.reassign(connection, replace(step.worker, locked=0), range_.dumped())
        except BatchopsError as error:
            self._stop_if_unknown(error)
            raise
        with self._stats.guard:
            self._stats.locked = 0
        return first

    def _stop_if_unknown(self, error: BatchopsError) -> None:
        """Stop the run if it is unknown whether a range was reassigned: only the ledger knows the ranges then."""
        if isinstance(error, OutcomeUnknownError):
            self._stop.ask("busy")


class WorkerStep:
    """One thread's step: its worker's next batch. It takes a worker while idle, when it holds none of the budget."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._mine: BulkStep | None = None

    def __call__(self, size: Size) -> Outcome | None:
        """Execute the worker's next batch; return None if it has finished."""
        if self._mine is None:
            return None
        with self._mine.between_batches:
            return self._mine(size)

    def idle(self) -> float | None:
        """Wait for a worker with rows left; return None if nothing is left."""
        over, self._mine = self._mine, None
        self._mine = self._workers.take_step(over)
        return None if self._mine is None else 0.0

    def leave(self) -> None:
        """Give up the worker as the thread ends: another thread may take it, as it may have rows left."""
        if self._mine is not None:
            self._workers.release(self._mine)
            self._mine = None
