"""The matching rows that a process has read, range by range, for all of its workers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from batchops.bulk.strategies.cursor import Range
from batchops.bulk.strategies.matched_rows import MatchedRows, Spool
from batchops.bulk.strategies.strategy import Reading
from batchops.db.addresses import TooManyAddressesError
from batchops.errors import TimedOutError

Part = Callable[[sa.Connection, Range], "sa.Select[Any] | None"]
"""Returns a SELECT of the matching rows of a range; None if there is nothing to read any more."""
Halve = Callable[[sa.Connection, Range], tuple[Range, Range] | None]


@dataclass(frozen=True)
class Found:
    """The matching rows of a range: the rows of a spool from one place to another."""

    spool: Spool
    start: int
    end: int


@dataclass(frozen=True)
class _Read:
    passes: int
    token: int | None
    spool: Spool


class Matches:
    """Reads each range once with which a process begins. A part that is split off a range later lies within it."""

    def __init__(self, rows: MatchedRows, reading: Reading, part: Part, halve: Halve) -> None:
        self._rows, self._reading, self._part, self._halve = rows, reading, part, halve
        self._read: tuple[_Read, ...] = ()

    def rows(self, passes: int) -> int:
        """How many rows a pass has found so far."""
        return sum(len(read.spool) for read in self._read if read.passes == passes)

    def of(self, passes: int, range_: Range) -> Found | None:
        """Return what a pass has read of the range; None if it has not read it."""
        for read in self._read:
            places = read.spool.between(range_) if (read.passes, read.token) == (passes, range_.token) else None
            if places is not None:
                return Found(read.spool, *places)
        return None

    def latest(self, range_: Range) -> Found | None:
        """Return what the last pass has read of the range; None if it has not read it."""
        return self.of(max((read.passes for read in self._read), default=0), range_)

    def read(self, passes: int, range_: Range) -> Found:
        """Read a range, in as few statements as the server's time limit allows."""
        for read in self._read:
            if read.passes < passes:
                read.spool.close()
        spool = self._rows.spool(range_)
        for some in self._parts(range_):
            spool.add(some)
        spool.sort()
        self._read = (*(read for read in self._read if read.passes >= passes), _Read(passes, range_.token, spool))
        return Found(spool, *(spool.between(range_) or (0, 0)))

    def _parts(self, range_: Range) -> Iterator[Any]:
        """Yield all rows of the range. A part that takes too long, or has too many rows, is read by halves."""
        left = [range_]
        while left:
            part, given = left.pop(), False
            try:
                with self._reading() as connection:
                    rows = self._part(connection, part)
                    for some in () if rows is None else self._rows.read(connection, rows):
                        given = True
                        yield some
            except (TimedOutError, TooManyAddressesError):
                with self._reading() as connection:
                    halves = self._halve(connection, part)
                if given or halves is None:
                    raise
                left += reversed(halves)
