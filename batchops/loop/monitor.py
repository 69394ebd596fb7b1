"""The run's second pair of eyes: keeps the lease alive while the loop works."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from batchops.errors import BatchopsError
from batchops.ledger.lease import Lease, renew
from batchops.ledger.ledger import Ledger
from batchops.stop import Stop


class Monitor:
    """Renews the lease three times in its length, from a thread, or between batches where there is one writer."""

    def __init__(self, ledger: Ledger, lease: Lease, stop: Stop, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._lease = lease
        self._stop = stop
        self._clock = clock
        self._threaded = not ledger.database.family.one_writer
        self._every = lease.seconds / 3
        self._last = clock()

    def between_batches(self) -> None:
        """A beat, if one is due and no thread beats."""
        if not self._threaded and self._clock() - self._last >= self._every:
            self._beat()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Beat for as long as the block runs."""
        over = threading.Event()
        thread = threading.Thread(target=self._watch, args=(over,), name="batchops-monitor", daemon=True)
        if self._threaded:
            thread.start()
        try:
            yield
        finally:
            over.set()
            if self._threaded:
                thread.join()

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(self._every):
            self._beat()

    def _beat(self) -> None:
        """A beat that fails is tried again at the next; the token in every batch is what really protects."""
        self._last = self._clock()
        try:
            if not renew(self._ledger, self._lease):
                self._stop.ask("locked")
        except BatchopsError:
            return
