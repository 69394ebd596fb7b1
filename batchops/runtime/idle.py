"""How long a drain that stays up sleeps while there is no work."""

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
"""A look at the whole queue is made again no sooner than after this many times as long as it took."""


class Due:
    """When the next thing that waits falls due; the workers of a process share the answer.

    Asked again no sooner than after `SHARE` times as long as the answer took: in a large queue it takes a scan.
    """

    def __init__(
        self, database: Database, next_due: Callable[[sa.Connection], float | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """`next_due`: seconds until something is due that waits."""
        self._database = database
        self._next_due = next_due
        self._clock = clock
        self._due_at: float | None = None
        self._ask_at = clock()
        self._guard = threading.Lock()

    def __call__(self) -> float | None:
        """Seconds from now on; None where nothing is known to wait."""
        with self._guard:
            if self._clock() >= self._ask_at:
                self._ask()
            due_at, now = self._due_at, self._clock()
        # What is overdue was not there to be claimed: it does not keep anyone from sleeping.
        return None if due_at is None or due_at < now else due_at - now

    def _ask(self) -> None:
        before, due = self._clock(), None
        with suppress(BatchopsError), self._database.reading() as connection:
            due = self._next_due(connection)
        now = self._clock()
        self._due_at = None if due is None else now + due
        self._ask_at = now + SHARE * (now - before)


class Idle:
    """One worker's sleeps: doubling with jitter up to `longest`, cut to the nearest row that falls due."""

    def __init__(
        self, due: Callable[[], float | None], longest: float, draw: Callable[[], float] = random.random
    ) -> None:  # fmt: skip
        self._due = due
        self._backoff = Backoff(FIRST, longest, draw=draw)
        self._sleeps = 0
        """Sleeps since there was work."""

    def worked(self) -> None:
        """There was work: the next sleep is short again."""
        self._sleeps = 0

    def next_sleep(self) -> float:
        """Seconds to sleep now."""
        self._sleeps += 1
        pause = self._backoff.pause(self._sleeps)
        due = self._due()
        return pause if due is None else min(pause, max(due, 0.02))
