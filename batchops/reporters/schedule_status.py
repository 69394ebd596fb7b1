"""The status of a scheduler's jobs: the ends of their fires, and how the last one ended."""

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
    """The fire that was last run to an end."""
    finished: Finished | None = None


class ScheduleStatus:
    """Adds up what happens to each job; asked from other threads."""

    def __init__(self) -> None:
        self._jobs: dict[str, _Job] = {}
        self._guard = Lock()

    def plan(self, jobs: Sequence[str]) -> None:
        """The jobs that there are now; what is known of others is forgotten."""
        with self._guard:
            self._jobs = {job: self._jobs.get(job, _Job()) for job in jobs}

    def of(self, job: str) -> Emit:
        """Who listens to that job."""

        def receive(event: Event) -> None:
            if isinstance(event, Finished):
                with self._guard:
                    self._jobs.setdefault(job, _Job()).finished = event

        return receive

    def __call__(self, event: Event) -> None:
        """Fires, whose events name their job."""
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
        """Jobs whose last fire failed."""
        with self._guard:
            return [name for name, job in self._jobs.items() if job.last is not None and job.last.state == "failed"]

    def fires(self) -> Counter[str]:
        """Of all jobs, by what became of them."""
        with self._guard:
            return sum((job.fires for job in self._jobs.values()), Counter[str]())

    def documents(self) -> list[dict[str, Any]]:
        """A job's fields; only ever added to."""
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
