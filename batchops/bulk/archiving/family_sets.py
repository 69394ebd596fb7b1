"""Families on their way into a bucket: their segments, and what is known of each row until it is deleted."""

import pickle
from bisect import bisect_right
from dataclasses import dataclass, field

from batchops.archive.lines import RowsDigest
from batchops.archive.segments import SegmentDraft
from batchops.bulk.archiving.uploads import Segment
from batchops.bulk.strategies.cursor import Range
from batchops.bulk.strategies.scratch_file import ScratchFile
from batchops.db.table import Table
from batchops.db.types import KeyValue


@dataclass(frozen=True)
class Hashes:
    """The rows of one table that were copied by one transaction, as they follow each other in its segment."""

    first: int
    """The place of the first of them."""
    hashes: tuple[int, ...]


@dataclass(frozen=True)
class Group:
    """Families that were copied by one transaction."""

    first: int
    """How many parents of the set come before."""
    table: Table
    """The table of the parents, or their partition."""
    keys: tuple[KeyValue, ...]
    """The parents' keys."""
    rows: dict[int, Hashes]
    """The rows that are deleted, or set to NULL, with them, by the number of their table."""


@dataclass(kw_only=True)
class TableSegment(Segment):
    """The segment of one table in a set of families."""

    draft: SegmentDraft | None
    digest: RowsDigest = field(default_factory=RowsDigest)


class FamilySet:
    """Families that are uploaded together: one segment for each table that has rows in them."""

    def __init__(self, begun: Range) -> None:
        self.begun = begun
        """The range in whose families the set begins."""
        self.end: Range | None = begun
        """What is left of the range behind the set; None: nothing."""
        self.later: tuple[Range, ...] = ()
        """Parents of the range with locked rows, to be visited again."""
        self.segments: dict[int, TableSegment] = {}
        """By the number of their table."""
        self.refused: list[tuple[KeyValue, str]] = []
        """Parents that cannot go, with the reasons; their families are in no segment."""
        self.locked: list[KeyValue] = []
        """Parents that are given up on, because others held rows of their families at every visit."""
        self.changed: list[KeyValue] = []
        """Listed parents that others have changed since they were listed."""
        self.parents = self.read = self.bytes = self.decided = 0
        """Parents in the segments; rows read to find them; bytes of their families; how many of them are decided."""
        self.copied = self.sent = False
        self._file = ScratchFile()
        self._firsts: list[int] = []
        """How many parents come before each group."""
        self._blocks: list[tuple[int, int]] = []
        """Offset and bytes of what is known of each group."""
        self._loaded: Group | None = None

    def add(self, group: Group) -> None:
        """Add the families of a transaction."""
        data = pickle.dumps(group, pickle.HIGHEST_PROTOCOL)
        self._firsts.append(group.first)
        self._blocks.append((self._file.size, len(data)))
        self._file.add(data)
        self.parents += len(group.keys)

    @property
    def rows(self) -> int:
        """How many rows of all tables are in the segments."""
        return sum(segment.digest.rows for segment in self.segments.values())

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return len(self._blocks)

    @property
    def group(self) -> Group | None:
        """The group of the first parent that is not decided; None if all are."""
        if self.decided >= self.parents:
            return None
        number = bisect_right(self._firsts, self.decided) - 1
        if self._loaded is None or self._loaded.first != self._firsts[number]:
            self._loaded = pickle.loads(self._file.read(*self._blocks[number]))
        return self._loaded

    def close(self) -> None:
        """Give up what is not finished."""
        self._file.close()
        for segment in self.segments.values():
            if segment.draft is not None:
                segment.draft.discard()
