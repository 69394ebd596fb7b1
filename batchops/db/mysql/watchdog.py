"""A statement timeout enforced by the client, for MySQL, which itself ends only a SELECT that runs too long."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

Kill = Callable[[Any], None]
"""Cancels the statement that a driver's connection is running; called from the watchdog's thread."""


class Watchdog:
    """Ends statements that run longer than `seconds`.

    Its thread starts with the first statement, and ends when it wakes up and no statement is running.
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
        """Limit the time of the block, which runs one statement on `connection`."""
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
                # Otherwise the KILL may arrive late and end the next statement.
                self._changed.wait_for(lambda: self._killing is not connection)

    def _run(self) -> None:
        # A statement that begins during a sleep is due after it, so this thread need not be woken.
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
                return  # the statement ended while the watchdog killed another one
            self._killing = connection
            self._due[connection] = self._clock() + self._seconds  # kill again if this KILL has no effect
        try:
            # Each driver has its own errors; if no server can be reached, the client's own timeout ends the statement.
            with suppress(Exception):
                self._kill(connection)
        finally:
            with self._changed:
                self._killing = None
                self._changed.notify_all()
