"""The run's heartbeat: keeps its lease alive while the loop works, sleeps or waits."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import sqlalchemy as sa

from batchops.errors import BatchopsError
from batchops.ledger.ledger import Ledger
from batchops.runtime.lease import Lease, renew, renew_within
from batchops.runtime.stop import Stop
from batchops.runtime.threads import Threads


class Heartbeat:
    """Renews the lease several times in its length, from a thread with a connection of its own.

    Where the ledger's database has one writer and batches follow each other closely, the thread may find no moment
    to write. So each batch renews the lease in its own transaction there, and the thread does it between batches.
    """

    def __init__(
        self, ledger: Ledger, lease: Lease, stop: Stop, threads: Threads, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ledger = ledger
        self._lease = lease
        self._stop = stop
        self._threads = threads
        self._clock = clock
        self._every = lease.seconds / 4
        self._with_batches = ledger.in_target and ledger.database.backend.one_writer
        self._last = clock()

    def renewing(self) -> AbstractContextManager[None]:
        """Renew for as long as the block runs."""
        return self._threads.repeating("heartbeat", self._every, self.renew)

    def renew_with_batch(self, connection: sa.Connection) -> None:
        """Renew in a batch's own transaction, where that is needed and due."""
        if self._with_batches and self._due():
            renew_within(connection, self._ledger, self._lease)
            self._last = self._clock()

    def renew(self) -> None:
        """Renew, if that is due; one that fails is tried again at the next. The token in every batch protects."""
        if not self._due():
            return
        try:
            if not renew(self._ledger, self._lease):
                self._stop.ask("locked")
        except BatchopsError:
            return
        self._last = self._clock()

    def _due(self) -> bool:
        return self._clock() - self._last >= 0.9 * self._every
