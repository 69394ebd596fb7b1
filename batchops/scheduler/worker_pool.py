"""WorkerPool: limits how many fires one process runs at a time; the one that has waited longest is next."""

import threading
import time
from collections.abc import Callable


class WorkerPool:
    """A number of workers, which schedules acquire by their names."""

    def __init__(self, number: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._free = number
        self._clock = clock
        self._waiting: dict[str, float] = {}
        self._guard = threading.Lock()
        self.freed: list[Callable[[], None]] = []
        """Called when a worker is free again."""

    def acquire(self, name: str) -> bool:
        """Acquire a worker for `name`; if names that wait longer need all free ones, queue it and return False."""
        with self._guard:
            since = self._waiting.setdefault(name, self._clock())
            before = sum(1 for other, mark in self._waiting.items() if other != name and mark < since)
            if self._free <= before:
                return False
            del self._waiting[name]
            self._free -= 1
            return True

    def forget(self, name: str) -> None:
        """Remove `name` from those that wait."""
        with self._guard:
            self._waiting.pop(name, None)

    def release(self) -> None:
        """Give a worker back, and call the listeners in `freed`."""
        with self._guard:
            self._free += 1
        for call in tuple(self.freed):
            call()
