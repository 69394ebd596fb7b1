"""Metrics for Prometheus: in a text file that is replaced atomically, or on a page that Prometheus requests."""

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

from batchops.errors import UsageError
from batchops.events import (
    Backlog,
    Committed,
    Copied,
    Emit,
    Event,
    Finished,
    Fired,
    Maintaining,
    Rejected,
    Retried,
    Started,
    Throttled,
    ThrottleReason,
)
from batchops.reporters import Warn
from batchops.reporters.http_server import HttpResponse

LABELS = ("batchops_job", "verb", "table")
"""The labels of all metrics; `batchops_job`, as Prometheus has a label `job` of its own and would rename ours."""
EVERY = 5.0
"""Seconds between two writes of the file while a run works."""
LAST_SUCCESS = "last_success_timestamp_seconds"

_COUNTERS = {
    "rows": "Rows changed, or handled.",
    "batches": "Batches committed.",
    "batch_seconds": "Time in batches.",
    "throttled_seconds": "Time slept or throttled.",
    "retries": "Batches retried after temporary errors.",
    "rejected_rows": "Rows that were not changed though they match.",
    "runs": "Runs that ended.",
    "failures": "Runs that ended with an exit code other than 0.",
}
_GAUGES = {
    LAST_SUCCESS: "When a run last ended with exit code 0.",
    "last_end_timestamp_seconds": "When a run last ended.",
    "last_exit_code": "The exit code of the run that ended last.",
    "backlog_rows": "Pending rows of a queue that anyone may claim.",
    "backlog_oldest_seconds": "How long the oldest of them has been waiting.",
}

_OF_THROTTLES = {
    "throttle_waiting": "1 while a throttle makes a run wait, else 0.",
    "throttle_value": "The value for which it last made a run wait.",
    "throttle_limit": "The limit of that value.",
}


class Metrics:
    """Counts the events of runs; `of` returns the listener for one job."""

    def __init__(self, warn: Warn, file: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._library = _library()
        self._library.disable_created_metrics()
        self._registry = self._library.CollectorRegistry()
        made: dict[str, Any] = {
            name: self._library.Counter(f"batchops_{name}", text, LABELS, registry=self._registry)
            for name, text in _COUNTERS.items()
        }
        for name, text in _GAUGES.items():
            made[name] = self._library.Gauge(f"batchops_{name}", text, LABELS, registry=self._registry)
        self._made = made
        made |= {
            name: self._library.Gauge(f"batchops_{name}", text, (*LABELS, "throttle"), registry=self._registry)
            for name, text in _OF_THROTTLES.items()
        }
        self._fires = self._library.Counter(
            "batchops_fires", "Fires of schedules that were due, by what became of them.", (LABELS[0], "state"),
            registry=self._registry,
        )  # fmt: skip
        self._warn, self._file, self._clock = warn, file, clock
        self._written = clock()
        self._guard = Lock()
        if file is not None:
            self._remember(file)
            self._checked(file)

    def of(self, job: str) -> Emit:
        """Return the listener to the events of that job."""
        listener = _JobMetrics(job, self._made)

        def receive(event: Event) -> None:
            listener(event)
            self._write_now_and_then(event)

        return receive

    def __call__(self, event: Event) -> None:
        """Count a fire, whose event names its job; other events are not counted."""
        if isinstance(event, Fired) and event.state != "running":
            self._fires.labels(event.job, event.state).inc(event.fires)
        self._write_now_and_then(event)

    def page(self) -> HttpResponse:
        """Return the page with all metrics in Prometheus's text format."""
        return HttpResponse(200, "text/plain; version=0.0.4; charset=utf-8", self._text())

    def _text(self) -> bytes:
        text: bytes = self._library.generate_latest(self._registry)
        return text

    def _remember(self, file: Path) -> None:
        """Read the time of each job's last success from the file: if this run fails, only the file knows it."""
        from prometheus_client.parser import text_string_to_metric_families

        with contextlib.suppress(OSError, ValueError):
            for found in text_string_to_metric_families(file.read_text()):
                for sample in found.samples if found.name == f"batchops_{LAST_SUCCESS}" else ():
                    self._made[LAST_SUCCESS].labels(**sample.labels).set(sample.value)

    def _checked(self, file: Path) -> None:
        try:
            self._replace(file)
        except OSError as error:
            raise UsageError(
                f'The figures cannot be written to "{file}": {error.strerror}.',
                "give --metrics-file a file in a folder that you may write to.",
            ) from error

    def _write_now_and_then(self, event: Event) -> None:
        """Write the file at each end of a run or fire, and every few seconds before, when an event comes."""
        if self._file is None:
            return
        with self._guard:
            if not isinstance(event, Finished | Fired) and self._clock() - self._written < EVERY:
                return
            self._written = self._clock()
            try:
                self._replace(self._file)
            except OSError as error:
                self._warn(f'warning: the figures cannot be written to "{self._file}": {error.strerror}.')
                self._file = None

    def _replace(self, file: Path) -> None:
        """Replace the file atomically, as it may be read at any moment; the temporary name does not end in .prom."""
        handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(self._text())
            os.chmod(name, 0o644)  # the process that reads it is another user's
            os.replace(name, file)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise


class _JobMetrics:
    """Adds up one job's events."""

    def __init__(self, job: str, made: dict[str, Any]) -> None:
        self._job, self._made = job, made
        self._labels = (job, "", "")
        self._throttled: set[str] = set()

    def __call__(self, event: Event) -> None:
        match event:
            case Started():
                self._labels = (self._job, event.verb, event.table)
                for name in ("rows", "batches", "retries", "failures"):
                    self._of(name).inc(0)  # 0 before the first event, so that a rate includes it
            case Committed():
                self._of("rows").inc(event.rows)
                self._of("batches").inc()
                self._of("batch_seconds").inc(event.seconds)
                self._waits(())
            case Throttled():
                self._of("throttled_seconds").inc(event.seconds)
                self._waits(event.reasons)
            case Retried():
                self._of("retries").inc()
            case Rejected():
                self._of("rejected_rows").inc()
            case Backlog():
                self._of("backlog_rows").set(event.backlog)
                self._of("backlog_oldest_seconds").set(event.oldest_seconds or 0.0)
            case Maintaining() | Copied():
                self._waits(())
            case Finished():
                self._ended(event)

    def _waits(self, reasons: Iterable[ThrottleReason]) -> None:
        """Set the gauges of the throttles that make the run wait, and reset those of throttles that no longer do."""
        named = {one.throttle: one for one in reasons if one.throttle}
        for name in self._throttled - named.keys():
            self._of("throttle_waiting", name).set(0)
        for name, one in named.items():
            self._of("throttle_waiting", name).set(1)
            if one.value is not None and one.limit is not None:
                self._of("throttle_value", name).set(one.value)
                self._of("throttle_limit", name).set(one.limit)
        self._throttled = {*named}

    def _ended(self, finished: Finished) -> None:
        self._labels = (self._job, finished.verb, finished.table)
        self._waits(())
        self._of("runs").inc()
        self._of("failures").inc(1 if finished.exit else 0)
        self._of("last_exit_code").set(finished.exit)
        self._of("last_end_timestamp_seconds").set_to_current_time()
        if finished.exit == 0:
            self._of(LAST_SUCCESS).set_to_current_time()
        if finished.drained and finished.drained.backlog is not None:
            self._of("backlog_rows").set(finished.drained.backlog)
            self._of("backlog_oldest_seconds").set(finished.drained.oldest_seconds or 0.0)

    def _of(self, name: str, *more: str) -> Any:
        return self._made[name].labels(*self._labels, *more)


def _library() -> ModuleType:
    try:
        import prometheus_client
    except ImportError as error:
        raise UsageError(
            "Figures for Prometheus need the extra prometheus.", 'pip install "batchops[prometheus]"'
        ) from error
    return prometheus_client
