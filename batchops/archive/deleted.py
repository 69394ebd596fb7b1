"""Which rows of a segment were deleted from their table, where that came after the segment was in its place."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batchops.archive.records import FIRST, dumped, loaded

Stretch = tuple[int, int]
"""Rows of a segment, by their places from 0: the first, and the one behind the last."""


@dataclass(frozen=True)
class DeletedRows:
    """The rows of a segment that are archived; the others stayed in the table, as they were changed or locked."""

    rows: int
    digest: str
    """Of the canonical lines of those that were deleted."""
    left: tuple[Stretch, ...] = ()
    """Those that stayed."""

    def document(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"rows": self.rows, "digest": self.digest, "left": [list(one) for one in self.left]}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "DeletedRows":
        """The same of a document; ValueError where it is none."""
        try:
            left = tuple((int(first), int(behind)) for first, behind in document["left"])
            return cls(document["rows"], document["digest"], left)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"it does not say which rows were deleted ({error})") from error

    def dumped(self, segment: str) -> bytes:
        """The content of the file that says it."""
        return dumped({"version": FIRST, "segment": segment} | self.document())

    @classmethod
    def loaded(cls, data: bytes) -> "DeletedRows":
        """Of such a content; ValueError where it is none."""
        return cls.of(loaded(data))


def archived(blocks: Iterable[list[bytes]], left: Sequence[Stretch]) -> Iterator[list[bytes]]:
    """The lines of a segment's blocks without those that stayed in the table."""
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
    """The same places in order, in as few stretches as there can be."""
    found: list[Stretch] = []
    for first, behind in sorted(stretches):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], behind))
        elif first < behind:
            found.append((first, behind))
    return found


def stretches_of(places: Iterable[int]) -> list[Stretch]:
    """Single places as stretches."""
    return merged((place, place + 1) for place in places)
