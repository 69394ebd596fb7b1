"""The rows of one segment as they were copied: the key, the proof and the hash of each."""

import pickle
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from batchops.bulk.strategies.scratch_file import ScratchFile
from batchops.db.types import KeyValue


@dataclass(frozen=True, slots=True)
class CopiedRow:
    """A row that is to be deleted, if it is still the one that was copied."""

    key: KeyValue
    proof: bytes | str
    """The proof of the row's values, from `RowLists.proof` in the statement that read them."""
    hash: int
    """The hash of its canonical line, as in a digest of rows."""
    reason: str = ""
    """Why the row is in no segment, and stays; empty for other rows."""


@dataclass(frozen=True)
class Part:
    """Some rows that follow each other."""

    rows: Sequence[CopiedRow]
    first: int
    """The place in the segment's file of the first of these rows; rows with a reason are not in the file."""

    def left(self, deleted: set[KeyValue]) -> list[int]:
        """Return the places in the file of the rows that are not among `deleted`."""
        places, place = [], self.first
        for row in self.rows:
            if row.reason:
                continue
            if row.key not in deleted:
                places.append(place)
            place += 1
        return places

    @property
    def behind(self) -> int:
        """The place in the file behind the last of these rows."""
        return self.first + sum(not row.reason for row in self.rows)


class CopiedRows:
    """All rows of a segment in their order, in a temporary file: a segment may have more than fit into memory."""

    def __init__(self) -> None:
        self._file = ScratchFile()
        self._blocks: list[tuple[int, int]] = []
        """Offset and bytes of each block."""
        self._starts: list[int] = []
        """The number of each block's first row."""
        self._places: list[int] = []
        """The place of each block's first row in the segment's file."""
        self._last: tuple[int, list[CopiedRow]] = (-1, [])
        self._length = self._written = 0

    def __len__(self) -> int:
        return self._length

    def add(self, rows: list[CopiedRow]) -> None:
        """Add the next rows."""
        data = pickle.dumps([(row.key, row.proof, row.hash, row.reason) for row in rows], pickle.HIGHEST_PROTOCOL)
        self._blocks.append((self._file.size, len(data)))
        self._starts.append(self._length)
        self._places.append(self._written)
        self._file.add(data)
        self._length += len(rows)
        self._written += sum(not row.reason for row in rows)

    def part(self, start: int, most: int) -> Part:
        """Return at most `most` rows from the number `start` on; fewer at the end of rows that were added together."""
        number = bisect_right(self._starts, start) - 1
        if number < 0 or start >= self._length:
            return Part((), self._written)
        rows, at = self._block(number), start - self._starts[number]
        before = sum(not row.reason for row in rows[:at])
        return Part(rows[at : at + most], self._places[number] + before)

    def close(self) -> None:
        """Close the file, once all rows are decided."""
        self._file.close()

    def _block(self, number: int) -> list[CopiedRow]:
        if self._last[0] != number:
            offset, size = self._blocks[number]
            rows = pickle.loads(self._file.read(offset, size))
            self._last = number, [CopiedRow(*row) for row in rows]
        return self._last[1]
