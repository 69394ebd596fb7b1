"""Progress: computes a run's counts, speed, share done and time left from its events."""

import time
from collections import deque
from collections.abc import Callable
from threading import Lock

from batchops import durations
from batchops.events import (
    IDLE,
    SLEEP,
    Backlog,
    Committed,
    Copied,
    Event,
    Finished,
    Maintaining,
    Rejected,
    Retried,
    Started,
    Throttled,
)
from batchops.reporters.figures import count, counted, rough, visible

Clock = Callable[[], float]
"""A monotonic clock in seconds."""

_RECENT, _LONG, _APART = 10.0, 60.0, 0.25
_ALMOST, _SLACK = 0.99, 1.1
"""_SLACK: the factor by which statistics may be too low, as locked rows are read again; lower ones are not used."""
_LINGER = 1.0
"""A shorter pause is shown for as long as this, so that it can be read."""


class Progress:
    """Adds up the events of one run; thread-safe."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self.started: Started | None = None
        self.rows = self.read = self.batches = self.rejected = 0
        self.pass_number = 0
        """The pass whose rows `read` counts."""
        self.working = self.sleeping = self.throttled = self.retrying = 0.0
        self.batch: Committed | None = None
        self.queue: Backlog | None = None
        self._before_queue = 0
        self._clock = clock
        self._lock = Lock()
        self._begun = clock()
        self._marks: deque[tuple[float, int, int]] = deque([(self._begun, 0, 0)])
        self._pause: tuple[Throttled | Retried, float] | None = None
        self._copied: Copied | None = None
        self._maintaining = ""

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._add(event)

    def _add(self, event: Event) -> None:
        match event:
            case Started():
                self.started, self.rows, self.read, self._begun = event, event.rows, event.read, self._clock()
                self._marks = deque([(self._begun, event.rows, event.read)])
            case Committed():
                self._count(event)
            case Throttled():
                self.sleeping += event.seconds if event.reason in (SLEEP, IDLE) else 0
                self.throttled += event.seconds if event.reason not in (SLEEP, IDLE) else 0
                self._pause = (event, self._clock())
            case Retried():
                self.retrying += event.seconds
                self._pause = (event, self._clock())
            case Backlog():
                self.queue, self._before_queue = event, self.rows
            case Rejected():
                self.rejected += 1
            case Copied():
                self._copied = event
            case Maintaining():
                self._maintaining = event.statement
            case Finished():
                pass

    def _count(self, batch: Committed) -> None:
        if batch.pass_number > self.pass_number:
            self.pass_number, self.read = batch.pass_number, 0
            self._marks = deque([(self._clock() - batch.seconds, self.rows, 0)])
        self._copied = None
        self.rows, self.batches, self.batch = self.rows + batch.rows, self.batches + 1, batch
        self.read += batch.read if batch.pass_number == self.pass_number else 0
        self.working += batch.seconds
        self._mark()

    def _mark(self) -> None:
        now = self._clock()
        if now - self._marks[-1][0] >= _APART:
            self._marks.append((now, self.rows, self.read))
        while len(self._marks) > 1 and now - self._marks[1][0] >= _LONG:
            self._marks.popleft()

    @property
    def earlier(self) -> int:
        """Rows that earlier processes of this run changed."""
        return self.started.rows if self.started else 0

    def elapsed(self) -> float:
        return self._clock() - self._begun

    def speed(self) -> float | None:
        """Return the rows changed per second in the last seconds; None before the first batch."""
        return self._speeds(_RECENT)[0] if self.batch else None

    def share(self) -> float | None:
        """Return the share of the pass, or of a limit, that is done; None if unknown or if statistics are too low.

        In a further pass it is never 1, as there may be one more pass.
        """
        parts = (self._done_and_total(), *self._limits())
        shares = [behind / whole for behind, whole in parts if whole and behind <= whole * _SLACK]
        if not shares:
            return None
        return max(shares) if max(shares) <= 1 and not self.pass_number else _ALMOST

    def seconds_left(self) -> float | None:
        """Return the seconds to the end of the pass or a limit, at the last minute's speed, with pauses; or None."""
        if self.batch is None or self.started is None:
            return None
        changed, read = self._speeds(_LONG)
        speeds = (changed if self._by_rows() else read, changed, self.batches / max(self.elapsed(), _APART), 1.0)
        parts = (self._done_and_total(), *self._limits())
        left = [
            max(whole - behind, 0) / speed
            for (behind, whole), speed in zip(parts, speeds, strict=True)
            if speed > 0 and whole and behind <= whole * _SLACK
        ]
        return min(left, default=None)

    def expected(self) -> tuple[int, bool] | None:
        """Return how many rows the run will have changed, by its plan or a limit, and whether that is an exact count.

        None if that is unknown, or if the run has already changed more.
        """
        started = self.started
        if started is None:
            return None
        # For a queue that has been counted meanwhile, the backlog is more exact.
        known = started.estimate is not None and self.queue is None
        found = [((started.estimate or 0) + started.rows, started.counted)] if known else []
        if started.max_rows is not None:
            found.append((started.rows + started.max_rows, True))
        expected = min(found, default=None)
        return expected if expected and expected[0] >= self.rows else None

    def pause(self) -> str:
        """Return why no batch is in progress now, or the maintenance after the last, as text; empty during a batch."""
        if self._maintaining:
            return f"{visible(self._maintaining)} is running"
        return self._waiting() or self._copying()

    def _copying(self) -> str:
        if (copied := self._copied) is None:
            return ""
        what = "uploading" if copied.uploading else "copying"
        return f"{what} {counted(copied.rows, 'row')} ({rough(copied.bytes)}B)"

    def _waiting(self) -> str:
        if self._pause is None:
            return ""
        event, since = self._pause
        past = self._clock() - since
        if past >= max(event.seconds, _LINGER):
            return ""
        left = durations.show(event.seconds if event.seconds < _LINGER else max(event.seconds - past, 0.0))
        if isinstance(event, Retried):
            return f"retrying in {left}: {visible(event.error)}"
        if event.reason == IDLE:
            return f"no work, looking again in {left}"
        return f"sleeping {left}" if event.reason == SLEEP else f"throttled: {visible(event.reason)}"

    def backlog(self) -> str:
        """Return the backlog as text, from the last count and the work since; empty for a job without one."""
        if (queue := self.queue) is None:
            return ""
        oldest = "" if queue.oldest_seconds is None else f", oldest {durations.show(queue.oldest_seconds)}"
        failed = f", {count(queue.failed)} failed" if queue.failed else ""
        dead = f", {count(queue.dead_letters)} dead" if queue.dead_letters else ""
        left = max(queue.backlog - (self.rows - self._before_queue), 0)
        return f"backlog {count(left)}{oldest}{failed}{dead}"

    def _by_rows(self) -> bool:
        """Whether progress is the rows changed: the table's size is unknown, or only matching rows are read."""
        return self.started is not None and not (self.started.counts_read and self.started.table_rows)

    def _done_and_total(self) -> tuple[float, float]:
        """Return how many of the rows of this pass are done, and how many there are in all; 0 if that is unknown."""
        if (started := self.started) is None:
            return 0, 0
        if self.queue is not None:
            return self.rows, self._before_queue + self.queue.backlog + self.queue.leased
        if self._by_rows():
            return self.rows, started.estimate + started.rows if started.estimate else 0
        # Statistics do not include the rows that this run has deleted before.
        gone = started.rows if started.removes else 0
        return self.read, started.table_rows + gone if started.table_rows else 0

    def _limits(self) -> tuple[tuple[float, float], ...]:
        """Return what is used and what is allowed of rows, batches and seconds; 0 allowed means no limit."""
        if (started := self.started) is None:
            return (0, 0), (0, 0), (0, 0)
        return (
            (self.rows - started.rows, started.max_rows or 0),
            (self.batches, started.max_batches or 0),
            (self.elapsed(), started.max_seconds or 0),
        )

    def _speeds(self, window: float) -> tuple[float, float]:
        now = self._clock()
        with self._lock:
            then, rows, read = next((mark for mark in self._marks if now - mark[0] <= window), self._marks[-1])
            seconds = max(now - then, _APART)
            return (self.rows - rows) / seconds, (self.read - read) / seconds
