"""Takes a sample of a run with each heartbeat."""

import sqlalchemy as sa

from batchops.ledger.ledger import Ledger
from batchops.ledger.run import Run
from batchops.ledger.samples import SLOTS, Sample, add, next_slot
from batchops.runtime.loop import RunStats


class Sampler:
    """Writes what the run has done so far; `before`: the run as this process found it."""

    def __init__(self, ledger: Ledger, before: Run, stats: RunStats) -> None:
        self._ledger = ledger
        self._before = before
        self._stats = stats
        self._slot: int | None = None

    def __call__(self, connection: sa.Connection) -> None:
        """Add a sample in the caller's transaction."""
        if self._slot is None:
            self._slot = next_slot(connection, self._ledger, self._before.run)
        before, stats = self._before, self._stats
        with stats.guard:
            sample = Sample(
                rows=before.rows + stats.rows,
                read=before.read + stats.read,
                batches=before.batches + stats.batches,
                batch_rows=stats.batch_rows,
                batch_seconds=stats.batch_seconds,
                throttled_seconds=stats.throttled_seconds,
                waiting=stats.waiting,
            )
        add(connection, self._ledger, before.run, self._slot, sample)
        self._slot = (self._slot + 1) % SLOTS
