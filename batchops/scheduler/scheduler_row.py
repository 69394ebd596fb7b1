"""SchedulerRow: the row of a scheduler in a ledger, in which others see it and can pause or stop it."""

import threading
from collections.abc import Callable, Sequence

from batchops.errors import BatchopsError
from batchops.events import Event, Fired
from batchops.runtime.event_log import EventLog
from batchops.runtime.live_settings import LiveSettings
from batchops.runtime.loop import RunStats
from batchops.runtime.run_record import RunFacts, RunRecord, run_record
from batchops.runtime.stop import Stop
from batchops.runtime.threads import Threads
from batchops.scheduler.places import FireLedgerPlace
from batchops.scheduler.work import Task

VERB = "schedule"
LONGEST_LIST = 200
"""How many characters of the jobs' names the row keeps."""
RETRY_SECONDS = 30.0
"""Seconds between two attempts to reach a ledger."""


class SchedulerRow:
    """Keeps the row from a thread, until it is closed; the row counts the fires that have ended."""

    def __init__(
        self, place: FireLedgerPlace, tasks: Sequence[Task], stop: Stop, note: Callable[[str], None], threads: Threads
    ) -> None:
        self._place = place
        self._jobs = ", ".join(sorted(task.job for task in tasks))[:LONGEST_LIST]
        self._stop, self._note = stop, note
        self.threads, self.log = threads, EventLog()
        self._stats = RunStats()
        self._record = RunRecord()
        self._over = threading.Event()
        self._thread = threads.start("scheduler-row", self._keep)

    def held(self) -> bool:
        """Whether somebody has paused the scheduler, so that no fire starts."""
        held = self._record.throttle()
        self._stats.waiting = held.reason if held else ""
        return held is not None

    def count(self, event: Event) -> None:
        """Count the fire if the event says that one has ended."""
        if isinstance(event, Fired) and event.state in ("ran", "taken over", "failed"):
            with self._stats.guard:
                self._stats.rows += event.rows
                self._stats.batches += 1

    def close(self) -> None:
        """Record how the scheduler ended, and wait for the thread."""
        self._over.set()
        self._thread.join()

    def _keep(self) -> None:
        trouble = ""
        while not self._over.is_set():
            try:
                with self._place.open() as fires:
                    facts = RunFacts(VERB, self._jobs, "", fires.database.address.shown)
                    live = LiveSettings(several=False)
                    row = run_record(fires.ledger, facts, live, self._stats, self._stop, self, lambda _: None)
                    with row as self._record:
                        self._over.wait()
                        self._record.state = self._stop.reason or "done"
            except BatchopsError as error:
                if error.message != trouble:
                    self.warn(error.message)
                trouble = error.message
                self._over.wait(RETRY_SECONDS)

    def warn(self, text: str) -> None:
        """Keep and show a warning."""
        self.log.add("warned", text)
        self._note(f"warning: {text}")
