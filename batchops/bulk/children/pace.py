"""How many parents a batch takes, so that they and their descendants make a batch together."""

from dataclasses import dataclass, replace

from batchops.runtime.batch_size import Size

FIRST = 10.0
"""How many rows a family is assumed to have before one is known."""
ROOM = 1.25
"""A batch may change this many times the rows that it aims at: families differ in size."""
MOST_READ, READ_EACH = 100_000, 100
"""The most rows that a batch reads to find its parents: the first, or the second for each parent if that is more."""


class TooManyRowsError(Exception):
    """Several parents have more rows in their families than a batch may change."""


@dataclass
class ParentPace:
    """Learns how many rows there are to a parent, and how many are read to find one. For one worker."""

    each: float = FIRST
    share: float = 1.0
    """The share of the rows read that are parents."""
    _most: int | None = None
    """The most parents of the next batch, after the families of one held too many rows; None: no such limit."""

    def size(self, size: Size) -> Size:
        """Return the size for the strategy, which finds the parents."""
        parents = max(1, round(size.rows / max(1.0, self.each)))
        for most in (self._most, size.parents.rows if size.parents else None, 1 if size.larger else None):
            parents = parents if most is None else min(parents, most)
        read = max(parents, min(round(parents / max(self.share, 1e-9)), max(READ_EACH * parents, MOST_READ)))
        return replace(size, rows=parents, read=read, exact=True)

    def observe(self, aim: int, parents: int, read: int, rows: int) -> None:
        """Learn from a batch: it aimed at `aim` parents and found `parents`, with `rows` rows in their families."""
        if read:
            self.share = (self.share + min(1.0, parents / read)) / 2
            if not parents:
                self.share = self.share / 2
        if parents:
            now = max(1.0, rows / parents)
            # A large family among small ones says little of the next ones.
            self.each = now if self.each == FIRST else self.each + (min(now, 4 * self.each) - self.each) / 4
        if self._most is not None:
            self._most = None if aim < self._most else 2 * self._most

    def too_many(self, parents: int) -> None:
        """Take fewer parents: the families of these held more rows than a batch may change."""
        self._most = max(1, parents // 4)

    def only(self, parents: int) -> None:
        """Take at most `parents` in the next batch, for another reason than the size of their families."""
        self._most = max(1, parents)


def most_rows(size: Size) -> int:
    """How many rows of all tables a batch may change."""
    return size.rows if size.exact else max(size.rows, round(ROOM * size.rows))
