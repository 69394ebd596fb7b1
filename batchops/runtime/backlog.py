"""BacklogMonitor: counts a queue from time to time while it is drained, and emits Backlog."""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Protocol

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.errors import BatchopsError
from batchops.events import Backlog, Emit
from batchops.runtime.counters import Counters, Counts
from batchops.runtime.threads import Threads

EVERY = 5.0
SHARE = 50
"""The pause before the next count, as a multiple of the time that the last count took."""


class Countable(Protocol):
    """A queue or an outbox whose rows can be counted."""

    def counts(self, connection: sa.Connection) -> Counts:
        """Return how many rows are in each state."""


class BacklogMonitor:
    """Counts the queue in a thread of its own, rarely enough to cost little."""

    def __init__(
        self, database: Database, queue: Countable, counters: Counters, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._queue = queue
        self._counters = counters
        self._clock = clock

    def counts(self) -> Counts | None:
        """Return the counts of the queue now; None where it cannot be counted."""
        with suppress(BatchopsError), self._database.reading() as connection:
            return self._queue.counts(connection)
        return None

    def emitting(self, emit: Emit, threads: Threads) -> AbstractContextManager[None]:
        """Emit Backlog at intervals until the block ends."""

        def emit_counts(over: threading.Event) -> None:
            pause = EVERY
            while not over.wait(pause):
                before = self._clock()
                threads.survive("count of the queue", lambda: self._emit_counts(emit))
                pause = max(EVERY, SHARE * (self._clock() - before))

        return threads.alongside("watch", emit_counts)

    def _emit_counts(self, emit: Emit) -> None:
        if (counts := self.counts()) is not None:
            emit(self._backlog(counts))

    def _backlog(self, counts: Counts) -> Backlog:
        return Backlog(
            counts.backlog,
            counts.waiting,
            counts.leased,
            counts.oldest,
            self._counters["failed"],
            self._counters["dead_letters"],
        )
