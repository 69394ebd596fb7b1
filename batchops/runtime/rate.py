"""Rate and RateLimit: the most rows per second for all workers of a process together."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from batchops.events import ThrottleReason, UsualReason


@dataclass(frozen=True)
class Rate:
    """Rows per second, or bytes per second where the flag says so, and the text that the user wrote."""

    rows: float
    text: str
    flag: str = "max-rate"

    def of_rows(self, row_bytes: float) -> "Rate":
        """Return a rate of bytes as a rate of rows, each of which has `row_bytes` bytes."""
        return Rate(self.rows / max(row_bytes, 1.0), self.text, self.flag)

    def __str__(self) -> str:
        return self.text

    @property
    def a_batch(self) -> int:
        """The rows of one second, as the most for a batch, so that there are no bursts."""
        return max(1, round(self.rows))


LATE = 0.25
"""Seconds by which a wait may end late and still shorten the next one: on a busy host every wait ends late."""


class RateLimit:
    """A throttle that waits after each batch for as long as its rows take at the rate; idle time gives no credit."""

    def __init__(self, rate: float, name: str, text: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`rate`: rows per second. `name`: the name of the flag. `text`: its value, for people."""
        self.rate = rate
        self._name, self._text = name, text
        self._clock = clock
        self._free_at = clock()
        self._rows: int | None = None
        self._guard = threading.Lock()

    def __call__(self, rows: int) -> ThrottleReason | None:
        """Return why to wait, given the rows that the run has changed in all; None to continue."""
        with self._guard:
            now = self._clock()
            if self._rows is None:
                self._rows, self._free_at = rows, now
            added, self._rows = max(0, rows - self._rows), rows
            self._free_at += added / self.rate
            if now - self._free_at > LATE:
                self._free_at = now
            seconds = self._free_at - now
        if seconds <= 0:
            return None
        return UsualReason(f"{self._name} {self._text}", seconds, self._name, limit=self.rate)
