"""The size from which a row costs many times more: there the server's plan of a batch turns."""

import math
from collections import deque

JUMP = 4.0
"""How many times dearer a row must have become in a larger batch."""
SEEN, RECENT = 3, 12
"""How often that must have been so among the last batches: what is slow once met a checkpoint, or others at work."""
LEAST = 200
"""The smallest size that a batch is held at for it."""
AVOIDED = 40
"""Batches for which such a size is avoided; twice as many each time it turns out to be as dear again."""
MOST_OFTEN = 3
"""How often that is doubled at the most."""
CLOSE = 1.25
"""How near the largest cheap size may come to the dear one before the search for the edge ends."""


class Cliff:
    """Remembers the largest size that was cheap, and the least that was not.

    Just below the edge a batch may be far from its target time: growing towards it would lead over the edge again
    and again, and each time the batch behind it would be made small.
    """

    def __init__(self) -> None:
        self._cheap = 0
        """Rows that the last cheap batch aimed at; 0 for none yet."""
        self._each = 0.0
        """Seconds that one of them cost."""
        self._edge: int | None = None
        self._avoided = 0
        """Batches until the edge is tried again."""
        self._times = 0
        self._dear: deque[bool] = deque(maxlen=RECENT)

    def observe(self, aim: int, rows: int, seconds: float, target: float) -> bool:
        """Learn from a batch of that aim that changed, or read, `rows`; whether it stood behind the edge."""
        self._wait()
        if 2 * rows < aim:  # something else made the time
            return False
        each = seconds / max(1, rows)
        larger = self._cheap >= LEAST and aim > 1.1 * self._cheap
        self._dear.append(larger and each > JUMP * self._each and seconds > 1.5 * target)
        if self._dear[-1] and (self._edge is not None or sum(self._dear) >= SEEN):
            self._dear.clear()
            self._edge = aim if self._edge is None else min(self._edge, aim)
            self._avoided = AVOIDED * 2**self._times
            self._times = min(self._times + 1, MOST_OFTEN)
            return True
        if each <= JUMP * self._each or not self._cheap or aim < self._cheap / 2:
            self._cheap, self._each = aim, each
        return False

    def within(self, rows: float) -> float:
        """So many rows, or as many as stay clear of the edge."""
        if self._edge is None:
            return rows
        halfway = math.sqrt(self._cheap * self._edge)
        return min(rows, self._cheap if self._edge < CLOSE * self._cheap else halfway)

    @property
    def cheap(self) -> int:
        """The size to go back to."""
        return self._cheap

    def _wait(self) -> None:
        if self._edge is not None:
            self._avoided -= 1
            if self._avoided <= 0:
                self._edge = None
