"""Reads the archived rows of a restore in the order of its segments, from a place on."""

import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import BinaryIO

from batchops.archive.contents import FoundSegment
from batchops.archive.deleted import archived
from batchops.archive.destination import Destination
from batchops.archive.formats import format_of_name
from batchops.archive.proved_files import open_proved
from batchops.archive.records import ArchivedTable
from batchops.archive.segments import read_segment
from batchops.restore.last_values import last_values
from batchops.restore.parents_first import Equal, OwnReference, ParentsFirst, Source

ARRANGED_SOON = 0.05
"""Seconds in which few rows are put in order, so that nothing has to be said of it."""
MOST_BYTES = 8 << 20
"""The most bytes of a batch. A larger row is a batch by itself."""


References = Mapping[str, tuple[OwnReference, ...]]
"""The references of each archived table to itself, by the table's label."""


@dataclass(frozen=True)
class Place:
    """How far a run has come: the number of whole segments, and of rows of the next one.

    For a table that refers to itself, the rows count from the segment on in the order of the references.
    """

    segment: int = 0
    row: int = 0

    def dumped(self) -> str:
        """Return the place as a cursor for the ledger, which expects the fields of a cursor in a table too."""
        own = {"segment": self.segment, "row": self.row}
        return json.dumps({"ranges": [], "pass": 0, "base": 0} | own, separators=(",", ":"))

    @classmethod
    def loaded(cls, text: str) -> "Place":
        """Return the place that `dumped` returned as text."""
        kept = json.loads(text)
        return cls(kept["segment"], kept["row"])


@dataclass(frozen=True)
class RowsAt:
    """Rows that follow each other in one segment, and the place after them."""

    lines: list[bytes]
    table: ArchivedTable
    after: Place
    mean: float = 1.0
    """Bytes of a row, on average."""
    undecided: bool = False
    """Whether each row may still be in its table, or be archived elsewhere again. Rows in the table stay unchanged."""
    again: bool = False
    """Whether the rows were restored already, and only some of their columns are set now."""
    ends: bool = False
    """Whether a batch must end here, because the next rows are of another kind."""

    def slice(self, start: int, rows: int) -> "RowsAt":
        """Return that many rows from `start` on."""
        lines = self.lines[start : start + rows]
        after = Place(self.after.segment, self.after.row - len(self.lines) + start + len(lines))
        ends = self.ends and start + rows >= len(self.lines)
        return replace(self, lines=lines, after=after, ends=ends)

    def first(self, rows: int) -> "RowsAt":
        """Return the first rows, at most that many."""
        return self if len(self.lines) <= rows else self.slice(0, rows)

    def behind(self, rows: int) -> "RowsAt | None":
        """Return the rows after that many; None if there are none."""
        return replace(self, lines=self.lines[rows:]) if rows < len(self.lines) else None


class ArchivedRows:
    """Reads segment after segment. Each file is compared with its record before its first row is used.

    With `references` of the table to itself, each row comes after those that it refers to.
    """

    def __init__(
        self, destination: Destination, segments: Sequence[FoundSegment], place: Place,
        references: Sequence[OwnReference] = (), stopped: Callable[[], bool] = lambda: False,
        equal: Equal | None = None,
    ) -> None:  # fmt: skip
        self._destination = destination
        self._segments = segments
        self._references = references
        self._equal = equal
        self._closed = False
        self._stopped = lambda: self._closed or stopped()
        self._order: ParentsFirst | None = None
        """What puts the rows in order, until they are."""
        self._place = place
        """The place after the current block."""
        self._blocks = self._from(place)
        self._thread = ThreadPoolExecutor(1, "batchops-read")
        self._ahead: Future[RowsAt | None] | None = None
        """The next block, which is read while the database works on the current one."""
        self._block: RowsAt | None = None
        self._taken = 0
        """Rows of the current block that `take` has returned."""

    def take(self, rows: int) -> RowsAt | None:
        """Return the next rows of one kind, limited by number and bytes; None at the end."""
        parts: list[RowsAt] = []
        wanted, room = rows, MOST_BYTES
        while wanted > 0 and room > 0 and self._more(parts):
            assert self._block is not None
            part = self._block.slice(self._taken, max(1, min(wanted, int(room / self._block.mean))))
            self._taken += len(part.lines)
            wanted -= len(part.lines)
            room -= int(len(part.lines) * self._block.mean) + 1
            parts.append(part)
        if not parts:
            return None
        lines = parts[0].lines if len(parts) == 1 else [line for part in parts for line in part.lines]
        return replace(parts[-1], lines=lines)

    def arranging(self) -> int | None:
        """Return how many rows were read to be put in order, while that goes on; it begins with the first call."""
        if not self._references or self._block is not None:
            return None
        self._ahead = self._ahead or self._next()
        wait([self._ahead], ARRANGED_SOON)
        return None if self._ahead.done() else self._order.rows_read if self._order is not None else 0

    def close(self) -> None:
        """End the thread that reads, and close the files."""
        self._closed = True
        self._thread.shutdown()
        self._blocks.close()

    def _more(self, parts: Sequence[RowsAt]) -> bool:
        """Make sure that the current block has rows; False if no more rows of the kind in `parts` follow."""
        if self._block is not None and self._taken < len(self._block.lines):
            return True
        if parts and parts[-1].ends:
            return False
        try:
            block = (self._ahead or self._next()).result()
        except BaseException:
            self._blocks, self._ahead = self._from(self._place), None  # a generator that raised an error yields no more
            self._block, self._taken = None, 0
            raise
        self._block, self._taken = block, 0
        self._ahead = None if block is None else self._next()
        self._place = self._place if block is None else block.after
        return block is not None

    def _next(self) -> "Future[RowsAt | None]":
        return self._thread.submit(next, self._blocks, None)

    def _from(self, place: Place) -> Generator[RowsAt, None, None]:
        return self._in_order(place) if self._references else self._read(place)

    def _in_order(self, place: Place) -> Generator[RowsAt, None, None]:
        """Yield the rows from the place's segment on, in the order of the references, from the place's row on."""
        more = () if self._equal is None else (self._equal,)
        at, ordered = place.row, ParentsFirst(self._references, self._stopped, *more)
        with closing(ordered), closing(self._read(Place(place.segment))) as blocks:
            self._order = ordered
            ordered.arrange((Source(one.table, one.undecided), one.lines) for one in blocks)
            for source, lines, ends in ordered.rows(at):
                at += len(lines)
                mean = sum(map(len, lines)) / len(lines) + 1
                yield RowsAt(lines, source.table, Place(place.segment, at), mean, source.last, ends=ends)

    def _read(self, place: Place) -> Generator[RowsAt, None, None]:
        for number in range(place.segment, len(self._segments)):
            segment, at = self._segments[number], 0
            start = place.row if number == place.segment else 0
            if start >= segment.rows:
                continue
            with closing(open_proved(self._destination, segment)) as file:
                whole = partial(_lines, file, segment)
                for lines in last_values(whole, segment.table) if segment.table.nulled else whole():
                    fresh = lines[max(0, start - at) :]
                    at += len(lines)
                    if fresh:
                        mean = sum(map(len, fresh)) / len(fresh) + 1
                        ends = at >= segment.rows
                        behind = Place(number, at)
                        yield RowsAt(fresh, segment.table, behind, mean, segment.undecided, ends=ends)


def _lines(file: BinaryIO, segment: FoundSegment) -> Iterator[list[bytes]]:
    """Return the archived rows of a segment from its beginning on."""
    format = format_of_name(segment.listed.name)
    assert format is not None
    file.seek(0)
    left = () if segment.listed.deleted is None else segment.listed.deleted.left
    return archived(read_segment(file, segment.table.columns, format), left)
