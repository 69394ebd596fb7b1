"""The low-water mark of a queue: claims do not read the rows below it, which are done."""

import threading
from collections.abc import Callable
from contextlib import suppress

from batchops.db.database import Database
from batchops.db.types import KeyValue
from batchops.errors import TransientError
from batchops.queue.leases import Leases
from batchops.queue.leases.row_lock import RowLocks

FULL_LOOK = 60.0
"""Seconds after which a claim reads below the mark too, for rows that were committed late."""
LOOK_SECONDS = 0.25
"""Seconds between two updates of the mark. A row that becomes free below the last claim waits for the next."""
SHARE = 20
"""The pause before the next update is at least this many times as long as the last update took."""


class QueueLowWaterMark:
    """The mark of a queue: no row below it was pending, leased or waiting at the last update. Workers share one object.

    A claim begins where the last one ended, so that none reads rows again that others have done. The first claim after
    an update begins at the mark. It finds rows that became free below the last claim, such as rows to retry.
    """

    def __init__(
        self, database: Database, leases: Leases | RowLocks, clock: Callable[[], float], *, followed: bool
    ) -> None:
        """`followed`: whether rows are claimed in the order of their key. If not, there is no mark."""
        self._database = database
        self._leases = leases
        self._clock = clock
        self._followed = followed
        self._mark: KeyValue | None = None
        self._last: KeyValue | None = None
        """The key of the last row of the last claim."""
        self._at_mark = False
        """Whether the next claim begins at the mark, not after the last claim."""
        self._full_at = clock()
        self._look_at = self._full_at + LOOK_SECONDS
        self._guard = threading.Lock()

    def mark(self) -> KeyValue | None:
        """Return the key that a claim may begin at; None: at the start of the table."""
        if self._mark is None or self._clock() - self._full_at < FULL_LOOK:
            return self._mark
        self.forget()
        return None

    def begin(self) -> KeyValue | None:
        """Return the key that the next claim begins at; None: at the start of the table."""
        mark, last = self.mark(), self._last
        if last is None or self._at_mark:
            self._at_mark = False
            return mark
        return last

    def claimed(self, last: KeyValue) -> None:
        """Note the last row of a claim that has committed."""
        if self._followed:
            self._last = last

    def released(self) -> None:
        """Note that claimed rows are free again. The next claim begins at the mark, to keep the order."""
        self._at_mark = True

    def forget(self) -> None:
        """Claim from the start of the table, until the next update."""
        with self._guard:
            self._mark, self._last, self._full_at = None, None, self._clock()

    def look(self) -> None:
        """Update the mark, if it is time. One worker does this at a time."""
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
