"""How long to wait between attempts, and how often a row or event is tried; batches: see `runtime.retry`."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

LONGEST_PAUSE = 3600.0
"""Seconds between two attempts at a row or event, at the most."""


@dataclass(frozen=True)
class Backoff:
    """Pauses between attempts: each is twice as long as the one before, up to the longest."""

    first: float
    """Seconds."""
    longest: float
    jitter: float = 0.25
    """The share of each pause that chance may take off, so that what failed together does not come back together."""
    draw: Callable[[], float] = random.random
    """Gives a number between 0 and 1; at 1 nothing is taken off."""

    def pause(self, attempt: int) -> float:
        """Seconds to wait after the attempt of this number; the first attempt is 1."""
        whole = min(self.longest, self.first * 2.0 ** min(attempt - 1, 60))
        return whole * (1.0 - self.jitter + self.jitter * self.draw())


@dataclass(frozen=True)
class RetryPolicy:
    """A row or event is given up on at its `max_attempts`-th attempt; before that it waits, longer each time."""

    max_attempts: int
    backoff: Backoff

    @classmethod
    def starting_at(cls, first: float, max_attempts: int) -> "RetryPolicy":
        """The policy of a queue or an outbox, whose first pause lasts so many seconds."""
        return cls(max_attempts, Backoff(first, LONGEST_PAUSE, jitter=0.5))

    def used_up(self, attempts: int) -> bool:
        """Whether a row that failed at that attempt is not tried again."""
        return attempts >= self.max_attempts

    def pause(self, attempts: int) -> float:
        """Seconds until the next attempt."""
        return self.backoff.pause(attempts)


def retry_after(headers: Any) -> float | None:
    """Retry-After in seconds; a date in it is not worth the trust in two clocks."""
    try:
        return min(float(headers.get("Retry-After", "")), 86_400.0)
    except ValueError:
        return None
