"""Idle and Due: how long a job that keeps running sleeps while there is no work."""

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.errors import BatchopsError
from batchops.runtime.backoff import Backoff

FIRST = 0.05
SHARE = 50
"""The pause before the next look at the whole queue, as a multiple of the time that the last look took."""


class Due:
    """When the next waiting row falls due; the workers of a process share the answer.

    The database is asked again only after `SHARE` times as long as the last answer took: a large queue needs a scan.
    """

    def __init__(
        self, database: Database, next_due: Callable[[sa.Connection], float | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """`next_due` returns the seconds until the next waiting row is due; None if no row waits."""
        self._database = database
        self._next_due = next_due
        self._clock = clock
        self._due_at: float | None = None
        self._ask_at = clock()
        self._guard = threading.Lock()

    def __call__(self) -> float | None:
        """Return the seconds until the next waiting row is due; None where none is known to wait."""
        with self._guard:
            if self._clock() >= self._ask_at:
                self._ask()
            due_at, now = self._due_at, self._clock()
        # A row that is overdue could not be claimed after all: it must not keep a worker from sleeping.
        return None if due_at is None or due_at < now else due_at - now

    def _ask(self) -> None:
        before, due = self._clock(), None
        with suppress(BatchopsError), self._database.reading() as connection:
            due = self._next_due(connection)
        now = self._clock()
        self._due_at = None if due is None else now + due
        self._ask_at = now + SHARE * (now - before)


class Idle:
    """The sleeps of one worker: each is twice as long, with jitter, up to `longest` or until the next row is due."""

    def __init__(
        self, due: Callable[[], float | None], longest: float, draw: Callable[[], float] = random.random
    ) -> None:  # fmt: skip
        self._due = due
        self._backoff = Backoff(FIRST, longest, draw=draw)
        self._sleeps = 0
        """How many sleeps there were since the last work."""

    def worked(self) -> None:
        """Make the next sleep short again, as there was work."""
        self._sleeps = 0

    def next_sleep(self) -> float:
        """Return the seconds to sleep now."""
        self._sleeps += 1
        pause = self._backoff.pause(self._sleeps)
        due = self._due()
        return pause if due is None else min(pause, max(due, 0.02))
