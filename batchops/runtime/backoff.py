"""Backoff and RetryPolicy: the pauses between attempts at a row or event, and how many there are.

How batches are retried: see `runtime.retry`.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

LONGEST_PAUSE = 3600.0
"""The longest pause between two attempts at a row or event, in seconds."""


@dataclass(frozen=True)
class Backoff:
    """Pauses between attempts: each is twice as long as the one before, up to the longest."""

    first: float
    """Seconds."""
    longest: float
    jitter: float = 0.25
    """The share of each pause that chance may take off, so that rows that failed together are not retried together."""
    draw: Callable[[], float] = random.random
    """Returns a number between 0 and 1; at 1 nothing is taken off."""

    def pause(self, attempt: int) -> float:
        """Return the seconds to wait after the attempt of this number; the first attempt is 1."""
        whole = min(self.longest, self.first * 2.0 ** min(attempt - 1, 60))
        return whole * (1.0 - self.jitter + self.jitter * self.draw())


@dataclass(frozen=True)
class RetryPolicy:
    """How often a row or event is tried: it becomes a dead letter at attempt `max_attempts`; the pauses grow."""

    max_attempts: int
    backoff: Backoff

    @classmethod
    def starting_at(cls, first: float, max_attempts: int) -> "RetryPolicy":
        """Return the policy of a queue or an outbox; its first pause lasts `first` seconds."""
        return cls(max_attempts, Backoff(first, LONGEST_PAUSE, jitter=0.5))

    def used_up(self, attempts: int) -> bool:
        """Whether a row that failed at attempt number `attempts` is not tried again."""
        return attempts >= self.max_attempts

    def pause(self, attempts: int) -> float:
        """Return the seconds between attempt number `attempts` and the next one."""
        return self.backoff.pause(attempts)


def retry_after(headers: Any) -> float | None:
    """Return the header Retry-After in seconds; None without one, or for a date: the two clocks may differ."""
    try:
        return min(float(headers.get("Retry-After", "")), 86_400.0)
    except ValueError:
        return None
