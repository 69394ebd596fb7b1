"""Limits the rows that are read at once by their bytes; the server tells their size before any of them is read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

MOST_BYTES = 16 * 1024 * 1024
"""The most bytes of rows that a batch holds in memory at once, by default."""
_FIRST = 32
"""Rows whose size is asked for first, while nothing is known of how large the rows are."""
_GROWTH = 8


@dataclass(frozen=True)
class RowBytes:
    """How many bytes of memory some columns of a row take."""

    of_row: sa.ColumnElement[int]
    """SQL for the bytes of one row. The server computes it without reading large values; small ones are estimated."""
    most: int | None
    """The most bytes that any row can have, by the types of the columns; None where the types set no bound."""


class ByteLimit:
    """The limit for one table and the columns that are read of it; all workers share one such object."""

    def __init__(self, most: int, row: RowBytes) -> None:
        self.most = most
        self._row = row
        self._asked = _FIRST
        self.of_row = row.of_row

    def rows(
        self, wanted: int, sizes: Callable[[int], Sequence[int]], total: Callable[[int], int] | None = None
    ) -> int:  # fmt: skip
        """Return how many of the next `wanted` rows to read: at least one, however large that row is.

        `sizes(n)` returns the bytes of each of the next `n` rows, in their order. `total(n)`, if given, returns the
        bytes of all of them, and is asked first where they probably fit: one number is faster to read than `n`.
        """
        if wanted <= 1 or (self._row.most is not None and wanted * self._row.most <= self.most):
            return wanted
        if total is not None and wanted <= self._asked and total(wanted) <= self.most:
            return wanted
        while True:
            asked = min(wanted, self._asked)
            found = sizes(asked)
            fits = self._fitting(found)
            if fits < len(found):
                # To ask about many more rows than fit would be useless work, and may lock them.
                self._asked = fits + fits // 2 + 1
                return fits
            if len(found) < asked or asked == wanted:
                return wanted if asked == wanted else max(1, fits)
            self._asked = asked * _GROWTH

    def likely(self, wanted: int) -> bool:
        """Whether the next `wanted` rows fit, by what is known so far: the caller need not ask for their sizes.

        Its statement cuts off those that do not fit, and `cut_off` learns of it.
        """
        bounded = self._row.most is not None and wanted * self._row.most <= self.most
        return wanted <= self._asked or bounded

    def cut_off(self, rows: int) -> None:
        """Learn that a statement cut off rows because only so many fitted."""
        self._asked = rows + rows // 2 + 1

    def _fitting(self, sizes: Sequence[int]) -> int:
        left = self.most
        for n, size in enumerate(sizes):
            left -= int(size)
            if left < 0:
                return max(1, n)
        return len(sizes)
