"""Sampler: writes a sample of the run and its new events into the ledger, with each heartbeat."""

from collections.abc import Sequence

import sqlalchemy as sa

from batchops.ledger import run_events
from batchops.ledger.ledger import Ledger
from batchops.ledger.run import Run
from batchops.ledger.run_events import RunEvent
from batchops.ledger.samples import SLOTS, Sample, add, next_slot
from batchops.runtime.event_log import EventLog, LoggedEvent
from batchops.runtime.loop import RunStats


class Sampler:
    """Writes what the run has done so far; `before` is the run as this process found it."""

    def __init__(self, ledger: Ledger, before: Run, stats: RunStats, log: EventLog) -> None:
        self._ledger = ledger
        self._before = before
        self._stats = stats
        self._log = log
        self._slot: int | None = None
        self._first_event: int | None = None

    def __call__(self, connection: sa.Connection) -> None:
        """Add a sample and the new events in the caller's transaction."""
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
        self._write(connection, self._log.changed())

    def end(self, connection: sa.Connection, state: str, error: str | None) -> None:
        """Write how the run ends, and all events again: a transaction with some of them may have been rolled back."""
        self._log.add("ended", f"{state}: {error}" if error else state)
        self._write(connection, self._log.all())

    def _write(self, connection: sa.Connection, events: Sequence[LoggedEvent]) -> None:
        if not events:
            return
        run, now = self._before.run, self._log.clock()
        if self._first_event is None:
            self._first_event = run_events.next_slot(connection, self._ledger, run)
        slots = [(self._first_event + one.number) % run_events.MOST for one in events]
        rows = [RunEvent(one.event, one.text, now - one.first, now - one.last, one.times) for one in events]
        run_events.write(connection, self._ledger, run, [*zip(slots, rows, strict=True)])
