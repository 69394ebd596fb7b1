"""The low-water mark of a queue: no claim reads again the rows before it, which are done."""

import threading
from collections.abc import Callable
from contextlib import suppress

from batchops.db.database import Database
from batchops.db.types import KeyValue
from batchops.errors import TransientError
from batchops.queue.leases import Leases
from batchops.queue.leases.row_lock import RowLocks

FULL_LOOK = 60.0
"""Seconds after which a claim looks behind the mark too: for rows that were committed late."""
LOOK_SECONDS = 0.25
"""Seconds between two looks for where the front is: what becomes free behind the last claim waits for the next one."""
SHARE = 20
"""A look is made again no sooner than after this many times as long as it took."""


class QueueLowWaterMark:
    """Nothing before `mark` is pending, leased or waiting, by the last look; workers share one.

    A claim begins where the last one ended, so that none reads again what others have done. The first one after a look
    begins at the mark: it finds what has become free behind the others, a row whose next attempt is due for one.
    """

    def __init__(
        self, database: Database, leases: Leases | RowLocks, clock: Callable[[], float], *, followed: bool
    ) -> None:
        """`followed`: whether rows are claimed in the order of their key; else there is no mark."""
        self._database = database
        self._leases = leases
        self._clock = clock
        self._followed = followed
        self._mark: KeyValue | None = None
        self._last: KeyValue | None = None
        """The last row of the last claim."""
        self._at_mark = False
        """Whether the next claim begins at the mark all the same."""
        self._full_at = clock()
        self._look_at = self._full_at + LOOK_SECONDS
        self._guard = threading.Lock()

    def mark(self) -> KeyValue | None:
        """Where a claim may begin; None: at the very beginning."""
        if self._mark is None or self._clock() - self._full_at < FULL_LOOK:
            return self._mark
        self.forget()
        return None

    def begin(self) -> KeyValue | None:
        """Where the next claim begins; None: at the very beginning."""
        mark, last = self.mark(), self._last
        if last is None or self._at_mark:
            self._at_mark = False
            return mark
        return last

    def claimed(self, last: KeyValue) -> None:
        """The last row of a claim, which is committed."""
        if self._followed:
            self._last = last

    def released(self) -> None:
        """Rows that were claimed are free again: the next claim begins at the mark, to keep their order."""
        self._at_mark = True

    def forget(self) -> None:
        """Look at everything from now on, until the next look."""
        with self._guard:
            self._mark, self._last, self._full_at = None, None, self._clock()

    def look(self) -> None:
        """Find the front again, if it is time; one worker at a time."""
        if not self._followed or self._clock() < self._look_at or not self._guard.acquire(blocking=False):
            return
        before = self._clock()
        try:
            with suppress(TransientError), self._database.reading() as connection:
                first = self._leases.first(connection, self._mark)
                self._mark = self._mark if first is None else first
                self._at_mark = True
        finally:
            now = self._clock()
            self._look_at = now + max(LOOK_SECONDS, SHARE * (now - before))
            self._guard.release()
