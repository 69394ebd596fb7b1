"""Which rows of a segment were deleted from their table, if they were deleted after the segment was published."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batchops.archive.records import FIRST, dumped, loaded

Stretch = tuple[int, int]
"""Places of rows in a segment, counted from 0: that of the first, and the one after the last."""


@dataclass(frozen=True)
class DeletedRows:
    """The rows of a segment that are archived. The others were changed or locked, and stayed in the table."""

    rows: int
    digest: str
    """The digest of the canonical lines of the deleted rows."""
    left: tuple[Stretch, ...] = ()
    """The places of the rows that stayed in the table."""

    def document(self) -> dict[str, Any]:
        """Return the rows as a JSON document."""
        return {"rows": self.rows, "digest": self.digest, "left": [list(one) for one in self.left]}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "DeletedRows":
        """Return the rows that a document describes; raise ValueError if it describes none."""
        try:
            left = tuple((int(first), int(behind)) for first, behind in document["left"])
            return cls(document["rows"], document["digest"], left)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"it does not say which rows were deleted ({error})") from error

    def dumped(self, segment: str) -> bytes:
        """Return the content of the file that records the deleted rows of a segment."""
        return dumped({"version": FIRST, "segment": segment} | self.document())

    @classmethod
    def loaded(cls, data: bytes) -> "DeletedRows":
        """Return the rows that the content of such a file describes; raise ValueError if it describes none."""
        return cls.of(loaded(data))


def archived(blocks: Iterable[list[bytes]], left: Sequence[Stretch]) -> Iterator[list[bytes]]:
    """Yield the lines of a segment's blocks, without the rows that stayed in the table."""
    place, rest = 0, [*merged(left)]
    for block in blocks:
        end = place + len(block)
        while rest and rest[0][1] <= place:
            rest.pop(0)
        kept, at = list[bytes](), place
        for first, behind in rest:
            if first >= end:
                break
            kept += block[at - place : max(first, at) - place]
            at = min(max(behind, at), end)
        kept += block[at - place :]
        place = end
        if kept:
            yield kept


def merged(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Return the same places in order, as the smallest number of stretches."""
    found: list[Stretch] = []
    for first, behind in sorted(stretches):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], behind))
        elif first < behind:
            found.append((first, behind))
    return found


def stretches_of(places: Iterable[int]) -> list[Stretch]:
    """Return single places as stretches."""
    return merged((place, place + 1) for place in places)
