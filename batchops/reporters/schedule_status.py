"""ScheduleStatus: counts how the fires of a scheduler's jobs ended, and keeps each job's last fire."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from batchops.events import ENDS, Emit, Event, Finished, Fired


@dataclass
class _Job:
    fires: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    last: Fired | None = None
    """The last fire that ran to its end."""
    finished: Finished | None = None


class ScheduleStatus:
    """Counts the fires of each job; other threads may read it."""

    def __init__(self) -> None:
        self._jobs: dict[str, _Job] = {}
        self._guard = Lock()

    def plan(self, jobs: Sequence[str]) -> None:
        """Set the present jobs; the counts of others are dropped."""
        with self._guard:
            self._jobs = {job: self._jobs.get(job, _Job()) for job in jobs}

    def of(self, job: str) -> Emit:
        """Return the listener to the events of that job."""

        def receive(event: Event) -> None:
            if isinstance(event, Finished):
                with self._guard:
                    self._jobs.setdefault(job, _Job()).finished = event

        return receive

    def __call__(self, event: Event) -> None:
        """Count a fire, whose event names its job; other events are ignored."""
        if not isinstance(event, Fired):
            return
        with self._guard:
            job = self._jobs.setdefault(event.job, _Job())
            if event.state in ENDS:
                job.fires[event.state] += event.fires
            if event.state in ("ran", "taken over", "failed"):
                job.rows += event.rows
                job.last = event

    @property
    def failing(self) -> list[str]:
        """The jobs whose last fire failed."""
        with self._guard:
            return [name for name, job in self._jobs.items() if job.last is not None and job.last.state == "failed"]

    def fires(self) -> Counter[str]:
        """Return the fires of all jobs, counted by state."""
        with self._guard:
            return sum((job.fires for job in self._jobs.values()), Counter[str]())

    def documents(self) -> list[dict[str, Any]]:
        """Return a document for each job; fields are added to it, but never changed or removed."""
        with self._guard:
            return [self._document(name, job) for name, job in self._jobs.items()]

    @staticmethod
    def _document(name: str, job: _Job) -> dict[str, Any]:
        last, finished = job.last, job.finished
        return {
            "job": name,
            "fires": {state: job.fires[state] for state in ENDS},
            "rows": job.rows,
            "last_fire": None if last is None else datetime.fromtimestamp(last.fire_at, UTC).isoformat(),
            "last_state": None if last is None else last.state,
            "last_exit": None if finished is None else finished.exit,
            "last_note": (last.note or None) if last else None,
        }
