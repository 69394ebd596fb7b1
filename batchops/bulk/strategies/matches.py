"""What a process has read of the rows that match: their addresses, range by range, for all of its workers."""

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from batchops.bulk.strategies.address_spool import AddressSpool
from batchops.bulk.strategies.cursor import Range
from batchops.bulk.strategies.strategy import Reading
from batchops.db.addresses import Addresses, Numbers, TooManyAddressesError
from batchops.db.types import KeyValue
from batchops.errors import TimedOutError

Part = Callable[[sa.Connection, Range], "sa.Select[Any] | None"]
"""The bare columns of the matching rows of a range; None where there is nothing to be read any more."""
Halve = Callable[[sa.Connection, Range], tuple[Range, Range] | None]


@dataclass(frozen=True)
class _Read:
    passes: int
    after: Numbers | None
    upto: Numbers | None
    token: int | None
    spool: AddressSpool

    def holds(self, passes: int, token: int | None, after: Numbers | None, upto: Numbers | None) -> bool:
        """Whether the range lies within what was read, by the same pass over the same file."""
        if (passes, token) != (self.passes, self.token):
            return False
        begins = self.after is None or (after is not None and after >= self.after)
        return begins and (self.upto is None or (upto is not None and upto <= self.upto))


class Matches:
    """Read once for each range that a process begins with; what is split off a range later lies within it."""

    def __init__(self, addresses: Addresses, width: int, reading: Reading, part: Part, halve: Halve) -> None:
        self._addresses, self._width = addresses, width
        self._reading, self._part, self._halve = reading, part, halve
        self._read: tuple[_Read, ...] = ()

    def rows(self, passes: int) -> int:
        """How many rows a pass has found so far."""
        return sum(len(read.spool) for read in self._read if read.passes == passes)

    def of(self, passes: int, range_: Range) -> AddressSpool | None:
        """What was read of the range; None where it was not."""
        after, upto = self.bounds(range_)
        for read in self._read:
            if read.holds(passes, range_.token, after, upto):
                return read.spool
        return None

    def latest(self, range_: Range) -> AddressSpool | None:
        """The same, of the last pass that was read."""
        return self.of(max((read.passes for read in self._read), default=0), range_)

    def bounds(self, range_: Range) -> tuple[Numbers | None, Numbers | None]:
        """The range's ends as addresses."""
        return self._numbers(range_.after), self._numbers(range_.upto)

    def read(self, passes: int, range_: Range) -> AddressSpool:
        """Read a range, in as few statements as the server has the time for."""
        for read in self._read:
            if read.passes < passes:
                read.spool.close()
        spool = AddressSpool(self._width)
        for numbers in self._parts(range_):
            spool.add(numbers)
        spool.sort()
        found = _Read(passes, *self.bounds(range_), range_.token, spool)
        self._read = (*(read for read in self._read if read.passes >= passes), found)
        return spool

    def _parts(self, range_: Range) -> Iterator["array[int]"]:
        """All addresses of it; what takes too long, or is too much, is read by halves."""
        left = [range_]
        while left:
            part = left.pop()
            try:
                with self._reading() as connection:
                    rows = self._part(connection, part)
                    found = [] if rows is None else list(self._addresses.read(connection, rows))
            except (TimedOutError, TooManyAddressesError):
                with self._reading() as connection:
                    halves = self._halve(connection, part)
                if halves is None:
                    raise
                left += reversed(halves)
                continue
            yield from found

    def _numbers(self, key: KeyValue | None) -> Numbers | None:
        return None if key is None else self._addresses.numbers(key)
