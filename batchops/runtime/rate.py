"""A highest number of rows a second, for all workers of a process together."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from batchops.events import ThrottleReason, UsualReason


@dataclass(frozen=True)
class Rate:
    """Rows a second, and how that was written; or bytes, as the flag says."""

    rows: float
    text: str
    flag: str = "max-rate"

    def of_rows(self, row_bytes: float) -> "Rate":
        """A rate of bytes as one of rows that have so many each."""
        return Rate(self.rows / max(row_bytes, 1.0), self.text, self.flag)

    def __str__(self) -> str:
        return self.text

    @property
    def a_batch(self) -> int:
        """Rows of a batch that do not come in bursts: those of a second."""
        return max(1, round(self.rows))


LATE = 0.25
"""Seconds by which a wait may end late and the next one is shorter for that; on a busy host each ends late."""


class RateLimit:
    """Waits after each batch for as long as its rows take at the rate. A time of rest gives no credit for later."""

    def __init__(self, rate: float, name: str, text: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`rate`: rows a second. `name`: the flag's; `text`: its value, for people."""
        self.rate = rate
        self._name, self._text = name, text
        self._clock = clock
        self._free_at = clock()
        self._rows: int | None = None
        self._guard = threading.Lock()

    def __call__(self, rows: int) -> ThrottleReason | None:
        """Why to wait once the run has changed so many rows in all; None: go on."""
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
