"""What the events of a run add up to: counts, shares of time, speed, and how much is still to come."""

import time
from collections import deque
from collections.abc import Callable
from threading import Lock

from batchops import durations
from batchops.events import IDLE, REST, Backlog, Committed, Event, Finished, Held, Rejected, Retried, Started
from batchops.reporters.figures import count, visible

Clock = Callable[[], float]
"""Seconds that only ever grow."""

_RECENT, _LONG, _APART = 10.0, 60.0, 0.25
_LINGER = 1.0
"""A pause shorter than this stays on show for as long, or nobody could read it."""


class Tally:
    """Adds up the events of one run; lanes may tell it things from several threads."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self.started: Started | None = None
        self.rows = self.read = 0
        self.working = self.resting = self.held = self.retrying = 0.0
        self.batch: Committed | None = None
        self.queue: Backlog | None = None
        self._clock = clock
        self._lock = Lock()
        self._begun = clock()
        self._marks: deque[tuple[float, int, int]] = deque([(self._begun, 0, 0)])
        self._pause: tuple[Held | Retried, float] | None = None

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._add(event)

    def _add(self, event: Event) -> None:
        match event:
            case Started():
                self.started, self.rows, self.read, self._begun = event, event.rows, event.read, self._clock()
                self._marks = deque([(self._begun, event.rows, event.read)])
            case Committed():
                self.rows, self.read, self.batch = self.rows + event.rows, self.read + event.read, event
                self.working += event.seconds
                self._mark()
            case Held():
                self.resting += event.seconds if event.reason in (REST, IDLE) else 0
                self.held += event.seconds if event.reason not in (REST, IDLE) else 0
                self._pause = (event, self._clock())
            case Retried():
                self.retrying += event.seconds
                self._pause = (event, self._clock())
            case Backlog():
                self.queue = event
            case Rejected() | Finished():
                pass

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
        """Rows changed a second, lately; None before the first batch."""
        return self._speeds(_RECENT)[0] if self.batch else None

    def share(self) -> float | None:
        """How much of the way is behind, between 0 and 1; None where unknown or statistics are too low."""
        if (way := self._way()) is None or way[1] <= way[0]:
            return None
        return way[0] / way[1]

    def seconds_left(self) -> float | None:
        """At the speed of the last minute, pauses included; None when unknown."""
        way = self._way()
        if way is None or way[1] <= way[0] or not self.batch:
            return None
        changed, read = self._speeds(_LONG)
        speed = changed if self._by_rows() else read
        return (way[1] - way[0]) / speed if speed > 0 else None

    def estimate(self) -> int | None:
        """Rows the run will have changed: at first by statistics, then more and more by what was found."""
        started, share = self.started, self.share()
        if started is None:
            return None
        prior = None if started.estimate is None else started.estimate + started.rows
        if self._by_rows() or share is None or not self.read:
            return prior if prior is not None and prior > self.rows else None
        found = self.rows / self.read * (self.read / share)
        blend = found if prior is None else prior * (1 - share) + found * share
        return self.rows + round(blend * (1 - share))

    def pause(self) -> str:
        """Why the loop is not working just now, in words; empty while it works."""
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
        return f"resting {left}" if event.reason == REST else f"held: {visible(event.reason)}"

    def backlog(self) -> str:
        """How the queue stood when it was last counted, in words; empty for what is no queue."""
        if (queue := self.queue) is None:
            return ""
        oldest = "" if queue.oldest_seconds is None else f", oldest {durations.show(queue.oldest_seconds)}"
        failed = f", {count(queue.failed)} failed" if queue.failed else ""
        dead = f", {count(queue.dead)} dead" if queue.dead else ""
        return f"backlog {count(queue.backlog)}{oldest}{failed}{dead}"

    def _by_rows(self) -> bool:
        """An index or limit walk reads only what matches, so the table's size says nothing about its way."""
        return self.started is not None and self.started.walk in {"index", "limit", "claims", "outbox"}

    def _way(self) -> tuple[int, int] | None:
        """Rows behind and in all, of what the walk reads; statistics miss what this run deleted before."""
        if (started := self.started) is None:
            return None
        if self._by_rows():
            return (self.rows, started.estimate + started.rows) if started.estimate else None
        gone = started.rows if started.verb in {"purge", "archive"} else 0
        return (self.read, started.table_rows + gone) if started.table_rows else None

    def _speeds(self, window: float) -> tuple[float, float]:
        now = self._clock()
        with self._lock:
            then, rows, read = next((mark for mark in self._marks if now - mark[0] <= window), self._marks[-1])
            seconds = max(now - then, _APART)
            return (self.rows - rows) / seconds, (self.read - read) / seconds
