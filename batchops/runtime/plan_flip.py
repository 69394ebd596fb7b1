"""Detects the batch size from which a row costs many times more, as the server's plan changes there."""

import math

JUMP = 4.0
"""How many times dearer a row must have become in a larger batch."""
SEEN = 2
"""How often that must have been so, and no such batch cheap in between: a checkpoint, or others running, pass."""
CHANGED = 4
"""Rows that could be read in the time that changing one takes."""
LEAST = 200
"""The smallest size that a batch is held at for it."""
AVOIDED = 40
"""Batches for which such a size is avoided; twice as many each time it turns out to be as dear again."""
MOST_OFTEN = 3
"""How often that is doubled at the most."""
CLOSE = 1.25
"""How near the largest cheap size may come to the dear one before the search for the edge ends."""


class PlanFlip:
    """Remembers the last size that was cheap, and the least that was not, in rows of the window.

    Its rows make the server's plan, whether they match or not.
    Just below the edge a batch may be far from its target time: growing towards it would lead over the edge again
    and again, and each time the batch behind it would be made small.
    """

    def __init__(self) -> None:
        self._cheap = 0
        """Rows that the last cheap batch read; 0 for none yet."""
        self._each = 0.0
        """Seconds that one of them cost."""
        self._edge: int | None = None
        self._seen = 0
        """How often batches of that size, or larger ones, were dear."""
        self._avoided = 0
        """Batches until the edge is tried again."""
        self._times = 0

    def observe(self, read: int, changed: int, seconds: float, target: float) -> bool:
        """Learn from a batch that read and changed so many rows; whether it was beyond the edge."""
        self._avoided -= 1
        each = seconds / max(1, read + CHANGED * changed)
        larger = self._cheap >= LEAST and read > 1.1 * self._cheap
        if larger and each > JUMP * self._each and seconds > 1.5 * target:
            self._flipped(read)
            return True
        if self._edge is not None and read >= self._edge:
            self._edge, self._seen, self._times = None, 0, 0
        if each <= JUMP * self._each or not self._cheap or read < self._cheap / 2:
            self._cheap, self._each = read, each
        return False

    def within(self, rows: float) -> float:
        """So many rows, or as many as stay clear of the edge."""
        if self._edge is None or self._seen < SEEN or self._avoided <= 0:
            return rows
        halfway = math.sqrt(self._cheap * self._edge)
        return min(rows, self._cheap if self._edge < CLOSE * self._cheap else halfway)

    @property
    def cheap(self) -> int:
        """The size to go back to."""
        return self._cheap

    def _flipped(self, read: int) -> None:
        self._edge = read if self._edge is None else min(self._edge, read)
        self._seen += 1
        if self._seen >= SEEN:
            self._avoided = AVOIDED * 2**self._times
            self._times = min(self._times + 1, MOST_OFTEN)
