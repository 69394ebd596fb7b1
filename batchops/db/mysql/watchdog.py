"""A statement timeout for a server that has none for writes: MySQL ends only a SELECT that runs too long."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

Kill = Callable[[Any], None]
"""Cancels what a driver connection is running; called from the watchdog's thread."""


class Watchdog:
    """Ends statements that run longer than `seconds`.

    Its thread starts with the first statement and ends when there was none for a while.
    """

    def __init__(self, seconds: float, kill: Kill, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._kill = kill
        self._clock = clock
        self._changed = threading.Condition()
        self._due: dict[Any, float] = {}
        self._killing: Any = None
        self._running = False

    @contextmanager
    def watching(self, connection: Any) -> Iterator[None]:
        """The block runs one statement on `connection`."""
        with self._changed:
            self._due[connection] = self._clock() + self._seconds
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="batchops-watchdog", daemon=True).start()
        try:
            yield
        finally:
            with self._changed:
                del self._due[connection]
                # Else the KILL may come late, and hit the next statement.
                self._changed.wait_for(lambda: self._killing is not connection)

    def _run(self) -> None:
        # What begins during a sleep is due after it, so nobody has to wake this thread.
        while (seconds := self._until_next()) is not None:
            time.sleep(seconds)
            for connection in self._late():
                self._end(connection)

    def _until_next(self) -> float | None:
        with self._changed:
            if not self._due:
                self._running = False
                return None
            return max(0.0, min(self._due.values()) - self._clock())

    def _late(self) -> list[Any]:
        with self._changed:
            now = self._clock()
            return [connection for connection, due in self._due.items() if due <= now]

    def _end(self, connection: Any) -> None:
        with self._changed:
            if connection not in self._due:
                return  # it ended while another was killed
            self._killing = connection
            self._due[connection] = self._clock() + self._seconds  # once more, where this KILL does not arrive
        try:
            # Each driver has its own errors; where the server cannot be reached, the client's own timeout ends it.
            with suppress(Exception):
                self._kill(connection)
        finally:
            with self._changed:
                self._killing = None
                self._changed.notify_all()
