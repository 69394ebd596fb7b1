"""How often a row is tried, and the backoff between attempts."""

import random
from collections.abc import Callable
from dataclasses import dataclass

LONGEST = 3600.0
"""Seconds between two attempts at the most."""


@dataclass(frozen=True)
class RetryPolicy:
    """A row is given up on at its `max_attempts`-th attempt; before that it waits, twice as long each time."""

    max_attempts: int = 5
    backoff: float = 5.0
    random: Callable[[], float] = random.random
    """Between 0 and 1; so that rows that failed together do not come back together."""

    def used_up(self, attempts: int) -> bool:
        """Whether a row that failed at that attempt is not tried again."""
        return attempts >= self.max_attempts

    def pause(self, attempts: int) -> float:
        """Seconds until the next attempt."""
        whole = min(LONGEST, self.backoff * 2.0 ** min(attempts - 1, 30))
        return whole * (0.5 + 0.5 * self.random())
