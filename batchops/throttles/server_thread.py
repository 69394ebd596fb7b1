"""ServerThread: the thread that reads a server's signals. Quiet: a default that is not read until it is needed."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from batchops.db.database import Database
from batchops.events import ThrottleReason
from batchops.runtime.threads import Threads
from batchops.throttles.watch import EVERY, Clock, Watch

LOOK_AGAIN = 10.0
"""Seconds after which a default that had nothing to measure is read again."""


@dataclass
class Quiet:
    """A default throttle that needs no thread and no connection until there is something to measure.

    It is awake once a batch has taken as long as its kind says; without such a time, once a reading, made every
    LOOK_AGAIN seconds, has found something.
    """

    watch: Watch
    wakes_after: float | None
    slowest_batch: Callable[[], float]
    """Returns the seconds that the slowest batch so far has taken."""
    wake: Callable[[], None]
    clock: Clock = time.monotonic
    awake: bool = False
    _looked: float = field(init=False)

    def __post_init__(self) -> None:
        self._looked = self.clock()

    def __call__(self) -> ThrottleReason | None:
        """Return why to wait, by the watch, once it is awake; None before."""
        if self.awake:
            return self.watch()
        if self.wakes_after is None:
            if self.clock() - self._looked >= LOOK_AGAIN:
                self.wake()
        elif self.slowest_batch() >= self.wakes_after:
            self.awake = True
            self.wake()
        return None

    def look(self) -> None:
        """Take a reading if that is due, and wake up if it has a value."""
        now = self.clock()
        if self.wakes_after is None and now - self._looked >= LOOK_AGAIN:
            self._looked = now
            self.watch.look()
            self.awake = self.watch.measures


class ServerThread:
    """Reads all watches that are awake each second; the thread starts with the first one and keeps one connection."""

    def __init__(
        self, name: str, threads: Threads, probes: Database, slowest_batch: Callable[[], float] = lambda: 0.0,
        *, of_one: bool = False,
    ) -> None:  # fmt: skip
        """`of_one`: whether the thread serves one watch, and ends when that is removed."""
        self._name = name
        self._threads = threads
        self._probes = probes
        self._slowest_batch = slowest_batch
        self._of_one = of_one
        self._watches: list[Watch] = []
        self._quiet: list[Quiet] = []
        self._due: deque[Callable[[], None]] = deque()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._guard = threading.Lock()

    def add(self, watch: Watch) -> None:
        """Read this watch from now on."""
        self._watches.append(watch)

    def add_quiet(self, watch: Watch, wakes_after: float | None) -> Quiet:
        """Read this watch once it wakes up."""
        quiet = Quiet(watch, wakes_after, self._slowest_batch, self.start)
        self._quiet.append(quiet)
        return quiet

    def remove(self, watch: Watch) -> None:
        """Stop reading this watch; a thread of one watch ends."""
        if self._of_one:
            self._over.set()
        self._watches = [one for one in self._watches if one is not watch]
        self._quiet = [one for one in self._quiet if one.watch is not watch]

    def do(self, work: Callable[[], None]) -> None:
        """Let the thread call `work` once, before its next reading."""
        self._due.append(work)
        self.start()

    def start(self) -> None:
        """Start the thread if it is not running."""
        with self._guard:
            if self._thread is None and not self._over.is_set():
                self._thread = self._threads.start(self._name, self._work)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Read while the block runs; a statement that is running at its end is cancelled."""
        if self._watches:
            self.start()
        try:
            yield
        finally:
            with self._guard:
                self._over.set()
            if self._thread is not None:
                self._probes.cancel()
                self._thread.join()

    def _work(self) -> None:
        while not self._over.is_set():
            for _ in range(len(self._due)):
                self._threads.survive(self._name, self._due.popleft())
            for quiet in self._quiet:
                if not quiet.awake:
                    self._threads.survive(self._name, quiet.look)
            awake = [*self._watches, *(quiet.watch for quiet in self._quiet if quiet.awake)]
            for watch in awake:
                self._threads.survive(self._name, watch.look)
            if not awake and not self._of_one:  # others may use the connections that this one's thread would close
                self._probes.close()
            self._threads.wait(self._over, EVERY)
