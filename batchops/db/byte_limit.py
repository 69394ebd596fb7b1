"""How many of the next rows fit into so many bytes of memory, asked of the server before any of them is read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

MOST_BYTES = 16 * 1024 * 1024
"""What a batch holds in memory at once, unless told otherwise."""
_FIRST = 32
"""Rows that the server is asked about before anything is known of them."""
_GROWTH = 8


@dataclass(frozen=True)
class RowBytes:
    """How much some columns of a row bring into memory."""

    of_row: sa.ColumnElement[int]
    """Bytes, by what the server can tell without reading what is large; about right for what is small."""
    most: int | None
    """What no row exceeds, by the types of the columns; None where nothing bounds them."""


class ByteLimit:
    """For one table and the columns that are read of it; workers share one."""

    def __init__(self, most: int, row: RowBytes) -> None:
        self.most = most
        self._row = row
        self._asked = _FIRST
        self.of_row = row.of_row

    def rows(self, wanted: int, sizes: Callable[[int], Sequence[int]]) -> int:
        """How many of the next `wanted` rows to read; a row that is too large by itself counts as one that fits.

        `sizes`: the bytes of the next so many rows, in their order.
        """
        if wanted <= 1 or (self._row.most is not None and wanted * self._row.most <= self.most):
            return wanted
        while True:
            asked = min(wanted, self._asked)
            found = sizes(asked)
            fits = self._fitting(found)
            if fits < len(found):
                # Asking about many more than fit is work for nothing, and may lock them.
                self._asked = fits + fits // 2 + 1
                return fits
            if len(found) < asked or asked == wanted:
                return wanted if asked == wanted else max(1, fits)
            self._asked = asked * _GROWTH

    def likely(self, wanted: int) -> bool:
        """Whether the next `wanted` rows fit by what is known, so that it does to cut off those that do not."""
        bounded = self._row.most is not None and wanted * self._row.most <= self.most
        return wanted <= self._asked or bounded

    def cut_off(self, rows: int, total: float) -> None:
        """Only so many came, of so many bytes in all: where that is much, more would not have fitted."""
        if total > self.most / 2:
            self._asked = rows + rows // 2 + 1

    def _fitting(self, sizes: Sequence[int]) -> int:
        left = self.most
        for n, size in enumerate(sizes):
            left -= int(size)
            if left < 0:
                return max(1, n)
        return len(sizes)
