"""Several loops side by side over disjoint parts of one table.

There is no plan of who walks what: the first lane has the whole way, and a worker that has nothing to do takes
the far half of another's. So uneven parts even out, and a run goes on with any other number of workers.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from batchops.bulk.step import WalkStep
from batchops.bulk.strategies import Walk
from batchops.bulk.strategies.cursor import Cursor
from batchops.db.database import Database
from batchops.errors import BatchopsError, OutcomeUnknownError, TransientError
from batchops.ledger.ledger import Ledger
from batchops.ledger.run import Lane, Run
from batchops.runtime.batch_size import Size
from batchops.runtime.loop import Tally
from batchops.runtime.outcome import Outcome
from batchops.runtime.stop import Stop

Wait = Callable[[threading.Condition, float], object]
"""Waits so many seconds, or until it is notified; the condition is held before and after."""


class Lanes:
    """The lanes of one run, each with its step, and who is on which."""

    def __init__(
        self, database: Database, walk: Walk, ledger: Ledger, run: Run, step: Callable[[Lane], WalkStep], stop: Stop,
        tally: Tally, wait: Wait = threading.Condition.wait,
    ) -> None:  # fmt: skip
        self._database = database
        self._walk = walk
        self._ledger = ledger
        self._step = step
        self._stop = stop
        self._tally = tally
        self._wait = wait
        self._idle = [step(lane) for lane in run.lanes]
        self._active: list[WalkStep] = []
        self._next_lane = len(run.lanes)
        self._turn = threading.Condition(threading.RLock())

    def take(self, mine: WalkStep | None) -> WalkStep | None:
        """A step with work for a worker whose own, `mine`, has none; None once nothing is left for anyone."""
        with self._turn:
            if mine is not None:
                self.lay_down(mine)
            while not self._stop.asked:
                found = self._unfinished() or self._half_of_another() if self._active else self._unfinished()
                if found is not None:
                    self._active.append(found)
                    return found
                if not self._active:
                    found = self._another_turn()
                    if found is None:
                        self._turn.notify_all()
                        return None
                    continue
                # Another lane's batches change what can be split, and its end may call for another turn.
                self._wait(self._turn, 0.2)
        return None

    def lay_down(self, mine: WalkStep) -> None:
        """A worker has no more use for it."""
        with self._turn:
            self._active.remove(mine)
            self._idle.append(mine)
            self._turn.notify_all()

    def _unfinished(self) -> WalkStep | None:
        found = next((step for step in self._idle if not step.cursor.over), None)
        if found is not None:
            self._idle.remove(found)
        return found

    def _half_of_another(self) -> WalkStep | None:
        for other in self._active:
            with suppress(TransientError), other.between_batches:
                halves = self._halves(other)
                if halves is not None:
                    return self._hand_over(other, *halves)
        return None

    def _halves(self, other: WalkStep) -> tuple[Cursor, Cursor] | None:
        cursor = other.cursor
        if other.in_doubt or cursor.over:
            return None
        if len(cursor.ranges) > 1:
            kept = (len(cursor.ranges) + 1) // 2
            return replace(cursor, ranges=cursor.ranges[:kept]), replace(cursor, ranges=cursor.ranges[kept:])
        with self._database.reading() as connection:
            parts = self._walk.split(connection, cursor.ranges[0])
        if parts is None:
            return None
        return replace(cursor, ranges=(parts[0],)), replace(cursor, ranges=(parts[1],))

    def _hand_over(self, other: WalkStep, kept: Cursor, given: Cursor) -> WalkStep:
        """One transaction for both rows, so that no key is on two lanes or on none."""
        spare = self._idle.pop() if self._idle else None
        try:
            with self._ledger.database.transaction() as connection:
                left = self._ledger.turn(connection, other.lane, kept.dumped())
                if spare is None:
                    lane = self._ledger.new_lane(connection, other.lane.run, self._next_lane, given.dumped())
                else:
                    lane = self._ledger.turn(connection, spare.lane, given.dumped())
        except BatchopsError as error:
            if spare is not None:
                self._idle.append(spare)
            self._give_up(error)
            raise
        other.lane = left
        if spare is None:
            self._next_lane += 1
            return self._step(lane)
        spare.lane = lane
        return spare

    def _another_turn(self) -> WalkStep | None:
        """Once every lane is over: the walk may want to look again."""
        if not self._idle:
            return None
        first = self._idle[0]
        changed = sum(step.lane.rows for step in self._idle)
        cursor = min((step.cursor for step in self._idle), key=lambda c: (-c.turn, c.base))
        with self._database.reading() as connection:
            again = self._walk.again(connection, cursor, changed)
        if again is None:
            return None
        try:
            with self._ledger.database.transaction() as connection:
                for step in self._idle:
                    # What was locked the last time round is met again; it must not be counted twice.
                    way = again if step is first else step.cursor
                    step.lane = self._ledger.turn(connection, replace(step.lane, locked=0), way.dumped())
        except BatchopsError as error:
            self._give_up(error)
            raise
        with self._tally.guard:
            self._tally.locked = 0
        return first

    def _give_up(self, error: BatchopsError) -> None:
        """Which way a lane has now only the ledger knows, where even that its last change is durable is unknown."""
        if isinstance(error, OutcomeUnknownError):
            self._stop.ask("busy")


class LaneStep:
    """One worker's step: its lane's next batch. It gets its lanes while idle, when it holds none of the allowance."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._mine: WalkStep | None = None

    def __call__(self, size: Size) -> Outcome | None:
        """A batch of the lane in hand; None once that is over."""
        if self._mine is None:
            return None
        with self._mine.between_batches:
            return self._mine(size)

    def idle(self) -> float | None:
        """Wait for a lane with work; None once nothing is left for anyone."""
        over, self._mine = self._mine, None
        self._mine = self._lanes.take(over)
        return None if self._mine is None else 0.0

    def leave(self) -> None:
        """The worker has ended: its lane, maybe not over, is for whoever looks for one."""
        if self._mine is not None:
            self._lanes.lay_down(self._mine)
            self._mine = None
