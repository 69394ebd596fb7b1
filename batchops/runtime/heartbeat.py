"""The heartbeat: a thread that keeps leases alive while the loop works, sleeps or waits."""

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress

import sqlalchemy as sa

from batchops.errors import BatchopsError
from batchops.ledger.ledger import Ledger
from batchops.runtime.lease import RENEWALS, Lease, LeaseClock, renew, renew_within
from batchops.runtime.stop import Stop
from batchops.runtime.threads import Threads

Renewal = tuple[LeaseClock, Callable[[], bool]]
"""A lease's clock, and the function that renews it in its own transaction; it returns False if another holds it."""


def heartbeat(
    threads: Threads, seconds: float, held: Callable[[], Iterable[Renewal]], lost: Callable[[], None] = lambda: None
) -> AbstractContextManager[None]:  # fmt: skip
    """Renew the leases that `held` returns three times in a lease's length, from a thread, until the block ends.

    A renewal that fails is tried again at the next turn; once the lease may have ended, the thread emits a warning.
    """
    return threads.repeating("heartbeat", seconds / RENEWALS, lambda: renew_due(held(), lost))


def renew_due(held: Iterable[Renewal], lost: Callable[[], None] = lambda: None) -> None:
    """Renew the leases that are due; call `lost` for each that another holder has taken over.

    Raises the last error if a lease may have ended because its renewal failed. No row is lost by that: each
    transaction checks the fencing token.
    """
    failed: BatchopsError | None = None
    for clock, renewal in held:
        if not clock.due:
            continue
        try:
            kept = clock.renew(renewal)
        except BatchopsError as error:
            failed = failed if clock.certain else error
            continue
        if not kept:
            lost()
    if failed is not None:
        raise failed


class Heartbeat:
    """The heartbeat of a run, from a thread with a connection of its own.

    Where the ledger's database has one writer and batches follow each other closely, the thread may find no moment
    to write. So each batch renews the lease in its own transaction there, and the thread does it between batches.
    """

    def __init__(
        self, ledger: Ledger, lease: Lease, stop: Stop, threads: Threads, clock: Callable[[], float] = time.monotonic,
        sample: Callable[[sa.Connection], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """`sample` writes a sample of the run at each renewal, in the transaction of the connection given to it."""
        self._sample = sample
        self._ledger = ledger
        self._lease = lease
        self._stop = stop
        self._threads = threads
        self._with_batches = ledger.in_target and ledger.database.backend.sessions.one_writer
        self._clock = LeaseClock(lease.seconds, clock, renewed=clock())

    def renewing(self, beside: Callable[[], None] = lambda: None) -> AbstractContextManager[None]:
        """Renew the lease until the block ends; call `beside` at each turn, after the renewal."""

        def turn() -> None:
            try:
                self.renew()
            finally:
                beside()

        return self._threads.repeating("heartbeat", self._lease.seconds / RENEWALS, turn)

    def renew_with_batch(self, connection: sa.Connection) -> None:
        """Renew the lease in the batch's own transaction, where the database has one writer and the renewal is due."""
        if self._with_batches and self._clock.due:
            self._clock.renew(lambda: renew_within(connection, self._ledger, self._lease))
            self._sample(connection)

    def renew(self) -> None:
        """Renew the lease if that is due."""
        renew_due(self._held(), self._lost)

    def _held(self) -> list[Renewal]:
        return [(self._clock, self._renewed)]

    def _renewed(self) -> bool:
        kept = renew(self._ledger, self._lease)
        if kept:
            # The sample has a transaction of its own, so that its error does not undo the renewal.
            with suppress(BatchopsError), self._ledger.database.transaction() as connection:
                self._sample(connection)
        return kept

    def _lost(self) -> None:
        self._stop.ask("locked")
