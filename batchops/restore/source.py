"""The archived rows of a run of restore, in the order of its segments, from a place on."""

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import BinaryIO

from batchops.archive.contents import FoundSegment
from batchops.archive.deleted import archived
from batchops.archive.destination import Destination
from batchops.archive.formats import format_of_name
from batchops.archive.records import ArchivedTable
from batchops.archive.segments import read_segment, sha256_of
from batchops.errors import IntegrityError, NotFoundError
from batchops.restore.parents_first import OwnReference, ParentsFirst, Source

MOST_BYTES = 8 << 20
"""Of a batch; a larger row is a batch alone."""


References = Mapping[str, tuple[OwnReference, ...]]
"""Of archived tables, by label: the references of each to itself."""


@dataclass(frozen=True)
class Place:
    """How far a run has come: so many segments, and rows of the next one, or of all others in their order."""

    segment: int = 0
    row: int = 0

    def dumped(self) -> str:
        """As the ledger keeps it, which looks for a place in a table too."""
        own = {"segment": self.segment, "row": self.row}
        return json.dumps({"ranges": [], "pass": 0, "base": 0} | own, separators=(",", ":"))

    @classmethod
    def loaded(cls, text: str) -> "Place":
        """What `dumped` gave."""
        kept = json.loads(text)
        return cls(kept["segment"], kept["row"])


@dataclass(frozen=True)
class RowsAt:
    """Rows that follow each other in one segment, and the place behind them."""

    lines: list[bytes]
    table: ArchivedTable
    after: Place
    mean: float = 1.0
    """Bytes of a row, on average."""
    undecided: bool = False
    """Whether each may be in its table too, or be archived anew elsewhere: what is there already stays."""
    again: bool = False
    """Whether the rows are in their table already, and only columns of theirs are set now."""
    ends: bool = False
    """Whether rows of another kind follow, so that a batch ends here."""

    def slice(self, start: int, rows: int) -> "RowsAt":
        """So many of them from there."""
        lines = self.lines[start : start + rows]
        after = Place(self.after.segment, self.after.row - len(self.lines) + start + len(lines))
        ends = self.ends and start + rows >= len(self.lines)
        return replace(self, lines=lines, after=after, ends=ends)

    def first(self, rows: int) -> "RowsAt":
        """The first so many of them."""
        return self if len(self.lines) <= rows else self.slice(0, rows)

    def behind(self, rows: int) -> "RowsAt | None":
        """The others; None where there are none."""
        return replace(self, lines=self.lines[rows:]) if rows < len(self.lines) else None


class ArchivedRows:
    """Reads segment for segment; each file is compared with its record before the first row of it is given.

    With `references` of their table to itself, every row comes after those that it refers to.
    """

    def __init__(
        self, destination: Destination, segments: Sequence[FoundSegment], place: Place,
        references: Sequence[OwnReference] = (), stopped: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        self._destination = destination
        self._segments = segments
        self._references = references
        self._stopped = stopped
        self._place = place
        """Behind the last block."""
        self._blocks = self._from(place)
        self._thread = ThreadPoolExecutor(1, "batchops-read")
        self._ahead: Future[RowsAt | None] | None = None
        """The block that is read while the database works on the one before."""
        self._block: RowsAt | None = None
        self._given = 0
        """Rows of the block that were given."""

    def take(self, rows: int) -> RowsAt | None:
        """The next rows, no more than so many, bounded by their bytes, and of one segment; None at the end."""
        parts: list[RowsAt] = []
        wanted, room = rows, MOST_BYTES
        while wanted > 0 and room > 0 and self._more(parts):
            assert self._block is not None
            part = self._block.slice(self._given, max(1, min(wanted, int(room / self._block.mean))))
            self._given += len(part.lines)
            wanted -= len(part.lines)
            room -= int(len(part.lines) * self._block.mean) + 1
            parts.append(part)
        if not parts:
            return None
        lines = parts[0].lines if len(parts) == 1 else [line for part in parts for line in part.lines]
        return replace(parts[-1], lines=lines)

    def close(self) -> None:
        """No more is read."""
        self._thread.shutdown()
        self._blocks.close()

    def _more(self, parts: Sequence[RowsAt]) -> bool:
        """Whether the block has rows, or a next one has, of the same kind as those that were taken."""
        if self._block is not None and self._given < len(self._block.lines):
            return True
        if parts and parts[-1].ends:
            return False
        try:
            block = (self._ahead or self._next()).result()
        except BaseException:
            self._blocks, self._ahead = self._from(self._place), None  # one that has failed gives nothing more
            raise
        self._block, self._given = block, 0
        self._ahead = None if block is None else self._next()
        self._place = self._place if block is None else block.after
        return block is not None

    def _next(self) -> "Future[RowsAt | None]":
        return self._thread.submit(next, self._blocks, None)

    def _from(self, place: Place) -> Generator[RowsAt, None, None]:
        return self._in_order(place) if self._references else self._read(place)

    def _in_order(self, place: Place) -> Generator[RowsAt, None, None]:
        """All from that segment on, without the first so many."""
        at, ordered = place.row, ParentsFirst(self._references, self._stopped)
        with closing(ordered), closing(self._read(Place(place.segment))) as blocks:
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
            with closing(self._opened(segment)) as file:
                format = format_of_name(segment.listed.name)
                assert format is not None
                left = () if segment.listed.deleted is None else segment.listed.deleted.left
                for lines in archived(read_segment(file, segment.table.columns, format), left):
                    fresh = lines[max(0, start - at) :]
                    at += len(lines)
                    if fresh:
                        mean = sum(map(len, fresh)) / len(fresh) + 1
                        ends = at >= segment.rows
                        behind = Place(number, at)
                        yield RowsAt(fresh, segment.table, behind, mean, segment.undecided, ends=ends)

    def _opened(self, segment: FoundSegment) -> BinaryIO:
        try:
            file = self._destination.open(segment.listed.name)
        except NotFoundError as error:
            raise IntegrityError(
                f"{segment.listed.name} is missing, with {segment.listed.record.rows:,} archived rows.",
                f"see `batchops archive verify {self._destination.shown}`.",
            ) from error
        if sha256_of(file) != segment.listed.record.sha256:
            file.close()
            raise IntegrityError(
                f"{segment.listed.name} is not the file that was archived: its SHA-256 is another.",
                f"see `batchops archive verify {self._destination.shown}`.",
            )
        file.seek(0)
        return file
