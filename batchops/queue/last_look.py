"""Decides what a drain waits for before it ends."""

from collections.abc import Callable
from contextlib import suppress

from batchops.db.database import Database
from batchops.errors import BatchopsError
from batchops.queue.leases import Leases
from batchops.queue.leases.row_lock import RowLocks
from batchops.runtime.backoff import Backoff

BACKOFF = Backoff(first=0.05, longest=1.0)
"""The pause between two counts of the rows that others hold."""


class LastLook:
    """Waits at the end of a drain for locked rows that are free and due, and for rows that others have leased."""

    def __init__(
        self, database: Database, leases: Leases | RowLocks, timeout: float, left_alone: Callable[[], int],
        leased: Callable[[], int],
    ) -> None:  # fmt: skip
        """`left_alone`: returns how many free rows this process leaves alone; `leased`: how many it has leased."""
        self._database = database
        self._leases = leases
        self._timeout = timeout
        self._left_alone = left_alone
        self._leased = leased
        self._waited, self._looks = 0.0, 0
        self.locked = 0
        """Rows that stayed locked."""

    def worked(self) -> None:
        """Note that a batch had rows: the timeout starts again."""
        self._waited, self._looks = 0.0, 0

    def next_sleep(self) -> float | None:
        """Return the seconds until the next try; None if no rows are left, or the timeout is over."""
        self.locked, leased = self._others()
        if not (self.locked or leased) or self._waited >= self._timeout:
            return None
        self._looks += 1
        pause = BACKOFF.pause(self._looks)
        self._waited += pause
        return pause

    def _others(self) -> tuple[int, int]:
        """Return the number of locked rows, and of rows that others have leased."""
        held = self._leased()  # before the count: a row leased in between only causes one more wait
        with suppress(BatchopsError), self._database.reading() as connection:
            counts = self._leases.counts(connection)
            return max(0, counts.backlog - self._left_alone()), max(0, counts.leased - held)
        return 0, 0
