"""The archived rows of a run of restore, in the order of its segments, from a place on."""

import json
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import BinaryIO

from batchops.archive.contents import FoundSegment
from batchops.archive.destination import Destination
from batchops.archive.formats import format_of_name
from batchops.archive.records import ArchivedTable
from batchops.archive.segments import read_segment, sha256_of
from batchops.errors import IntegrityError

MOST_BYTES = 8 << 20
"""Of a batch; a larger row is a batch alone."""


@dataclass(frozen=True)
class Place:
    """How far a run has come: so many segments, and rows of the next one."""

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

    lines: tuple[bytes, ...]
    table: ArchivedTable
    after: Place

    def first(self, rows: int) -> "RowsAt":
        """The first so many of them."""
        left = max(0, len(self.lines) - rows)
        after = Place(self.after.segment, self.after.row - left)
        return self if not left else RowsAt(self.lines[:rows], self.table, after)

    def behind(self, rows: int) -> "RowsAt | None":
        """The others; None where there are none."""
        return RowsAt(self.lines[rows:], self.table, self.after) if rows < len(self.lines) else None


class ArchivedRows:
    """Reads segment for segment; each file is compared with its record before the first row of it is given."""

    def __init__(self, destination: Destination, segments: Sequence[FoundSegment], place: Place) -> None:
        self._destination = destination
        self._segments = segments
        self._rows = self._read(place)
        self._buffer: RowsAt | None = None

    def take(self, rows: int) -> RowsAt | None:
        """The next rows, no more than so many and of one segment; None at the end."""
        if self._buffer is None:
            self._buffer = next(self._rows, None)
            if self._buffer is None:
                return None
        parts = [self._buffer]
        while sum(len(part.lines) for part in parts) < rows and (more := self._following(parts)) is not None:
            parts.append(more)
        last = parts[-1]
        whole = RowsAt(tuple(line for part in parts for line in part.lines), last.table, last.after)
        taken = _bounded(whole, rows)
        self._buffer = whole.behind(len(taken.lines))
        return taken

    def close(self) -> None:
        """No more is read."""
        self._rows.close()

    def _following(self, parts: Sequence[RowsAt]) -> RowsAt | None:
        """The next block, where it is of the same segment and there is room for it."""
        if sum(len(line) for part in parts for line in part.lines) > MOST_BYTES:
            return None
        if parts[-1].after.row >= self._segments[parts[-1].after.segment].listed.record.rows:
            return None
        return next(self._rows, None)

    def _read(self, place: Place) -> Generator[RowsAt, None, None]:
        for number in range(place.segment, len(self._segments)):
            segment, at = self._segments[number], 0
            start = place.row if number == place.segment else 0
            if start >= segment.listed.record.rows:
                continue
            with closing(self._opened(segment)) as file:
                format = format_of_name(segment.listed.name)
                assert format is not None
                for lines in read_segment(file, segment.table.columns, format):
                    fresh = lines[max(0, start - at) :]
                    at += len(lines)
                    if fresh:
                        yield RowsAt(tuple(fresh), segment.table, Place(number, at))

    def _opened(self, segment: FoundSegment) -> BinaryIO:
        file = self._destination.open(segment.listed.name)
        if sha256_of(file) != segment.listed.record.sha256:
            file.close()
            raise IntegrityError(
                f"{segment.listed.name} is not the file that was archived: its SHA-256 is another.",
                f"see `batchops archive verify {self._destination.shown}`.",
            )
        file.seek(0)
        return file


def _bounded(rows: RowsAt, most: int) -> RowsAt:
    size = 0
    for number, line in enumerate(rows.lines):
        size += len(line)
        if number >= most or (size > MOST_BYTES and number):
            return rows.first(number)
    return rows
