"""PlanFlip: detects the batch size from which a row costs many times more, as the server's plan changes there."""

import math

JUMP = 4.0
"""A row in a larger batch must cost this many times more for a flip."""
SEEN = 2
"""How often that must be seen, with no cheap batch of that size in between.

Once may be a checkpoint or another load, which passes."""
CHANGED = 4
"""How many rows can be read in the time that changing one takes."""
LEAST = 200
"""The smallest batch size that a flip limits."""
AVOIDED = 40
"""For how many batches such a size is avoided; twice as many each time it turns out to be as costly again."""
MOST_OFTEN = 3
"""How often that number is doubled at most."""
CLOSE = 1.25
"""The search for the edge ends once the costly size is less than this many times the cheap one."""


class PlanFlip:
    """Remembers the last size that was cheap and the smallest that was not (the edge), in rows of the window.

    The server chooses its plan by all rows of the window, whether they match or not.
    Just below the edge a batch may be far from its target time. Growing towards the target would cross the edge again
    and again, and each time the next batch would be made small.
    """

    def __init__(self) -> None:
        self._cheap = 0
        """The rows that the last cheap batch read; 0 for none yet."""
        self._each = 0.0
        """The seconds that one of these rows cost."""
        self._edge: int | None = None
        self._seen = 0
        """How often batches of that size, or larger ones, were costly."""
        self._avoided = 0
        """Batches until the edge is tried again."""
        self._times = 0

    def observe(self, read: int, changed: int, seconds: float, target: float) -> bool:
        """Learn from a batch that read and changed so many rows; return whether it was beyond the edge."""
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
        """Return `rows`, cut so that the batch stays below the edge."""
        if self._edge is None or self._seen < SEEN or self._avoided <= 0:
            return rows
        halfway = math.sqrt(self._cheap * self._edge)
        return min(rows, self._cheap if self._edge < CLOSE * self._cheap else halfway)

    @property
    def cheap(self) -> int:
        """The rows that the last cheap batch read, as the size to return to."""
        return self._cheap

    def _flipped(self, read: int) -> None:
        self._edge = read if self._edge is None else min(self._edge, read)
        self._seen += 1
        if self._seen >= SEEN:
            self._avoided = AVOIDED * 2**self._times
            self._times = min(self._times + 1, MOST_OFTEN)
