"""FireInProgress: a running fire with its thread, its rows so far, and how it ended."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from batchops.errors import Exit
from batchops.events import Committed, Emit, Event, Failure, Finished, Started, State
from batchops.runtime.stop import Stop
from batchops.runtime.threads import Threads, described
from batchops.scheduler.fires import LEASE, Fire
from batchops.scheduler.misfires import Schedule

Run = Callable[[Emit, Stop], Finished]
"""Runs a job to its end, emits that end and returns it; raises only errors that are bugs."""
TAKEOVER_RETRY_SECONDS = 1.0
"""Seconds between two attempts to continue a run whose lease a dead process still holds."""
RETRY_TIMEOUT = 2 * LEASE


@dataclass(frozen=True)
class Task:
    """A job with a schedule."""

    job: str
    """The name of the job in its recipe."""
    schedule: Schedule
    run: Run
    emit: Emit
    """The listener to this job's events."""


class FireInProgress:
    """Runs a fire's job in a thread of its own, which calls `ended` at the end."""

    def __init__(self, task: Task, fire: Fire, ended: Callable[[], None], threads: Threads) -> None:
        self.task = task
        self.fire = fire
        self.stop = Stop()
        self.rows = 0
        self.finished: Finished | None = None
        self._guard = threading.Lock()
        self._earlier = 0
        self._ended = ended
        threads.start(task.job, self._work)

    def outcome(self) -> tuple[State | None, str]:
        """Return the state in which the fire ends, with a note; None: it was interrupted and has to be continued."""
        finished = self.finished
        assert finished is not None  # called only once it has ended
        note = finished.error.message if finished.error else ""
        if finished.reason == "signal":
            return None, note
        if finished.reason == "locked" and not self.rows:
            return "skipped", note
        if finished.exit not in (Exit.DONE, Exit.LOCKED):
            return "failed", note or finished.reason
        if finished.reason not in ("done", "locked"):
            note = finished.reason
        return ("taken over" if self.fire.taken_over else "ran"), note

    def _work(self) -> None:
        try:
            finished = self._run()
            self.rows = max(self.rows, finished.rows - self._earlier)
            self.finished = finished  # last: from then on the dispatcher may record it
        except BaseException as error:  # noqa: BLE001  a bug in one job must not end the others, nor keep its worker
            failure = Failure("failed", described(error), "this is a bug.")
            self.finished = Finished("", "", "failed", int(Exit.FAILED), "", error=failure)
            self.task.emit(self.finished)
        finally:
            self._ended()

    def _run(self) -> Finished:
        """Run the job; try again while the dead owner of a fire that was taken over still holds the run's lease."""
        waited = 0.0
        while True:
            finished = self.task.run(self._on_event, self.stop)
            stale = finished.reason == "locked" and self.fire.taken_over and not self.rows
            if not stale or self.stop.asked or waited >= RETRY_TIMEOUT:
                return finished
            self.stop.sleep(TAKEOVER_RETRY_SECONDS)
            waited += TAKEOVER_RETRY_SECONDS

    def _on_event(self, event: Event) -> None:
        """Count the rows of an event, from any thread, and pass it on."""
        with self._guard:
            if isinstance(event, Started):
                self._earlier = event.rows
            elif isinstance(event, Committed):
                self.rows += event.rows
        self.task.emit(event)
