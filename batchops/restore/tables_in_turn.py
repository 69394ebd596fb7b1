"""Reads the archived rows of several tables, one table after the other."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby

from batchops.archive.destination import Destination
from batchops.restore.parents_first import Equal
from batchops.restore.previous import Work
from batchops.restore.source import ArchivedRows, Place, RowsAt


class StillArrangingError(Exception):
    """The rows of the next table are being put in order."""


class TablesInTurn:
    """Reads consecutive segments of one table together, in the order of its references if it refers to itself.

    Segments with columns that are set later are read once more at the end.
    """

    def __init__(
        self, destination: Destination, work: Work, stopped: Callable[[], bool], equal: Mapping[str, Equal]
    ) -> None:  # fmt: skip
        """`equal`: what tells equal values of the references of each table, by its label."""
        self._equal = equal
        self._destination = destination
        self._work = work
        self._stopped = stopped
        self._tables = self._from(work.place)
        self._now = next(self._tables, None)

    def take(self, rows: int) -> RowsAt | None:
        """Return the next rows of one table, as `ArchivedRows.take` does; None at the end.

        StillArrangingError: not yet. Other work may be done until `arranging` returns None.
        """
        while self._now is not None:
            again, source = self._now
            if source.arranging() is not None:
                raise StillArrangingError
            if (taken := source.take(rows)) is not None:
                return replace(taken, again=again)
            source.close()
            self._now = next(self._tables, None)
        return None

    def arranging(self) -> int | None:
        """Return how many rows of the next table were read to be put in order; None if they are not, or are by now."""
        return None if self._now is None else self._now[1].arranging()

    def close(self) -> None:
        """Close the source of the current table."""
        if self._now is not None:
            self._now[1].close()

    def _from(self, place: Place) -> Iterator[tuple[bool, ArchivedRows]]:
        work = self._work
        every, behind = (*work.segments, *work.again), 0
        numbered = enumerate(one.table.label for one in every)
        for (label, again), some in groupby(numbered, lambda one: (one[1], one[0] >= len(work.segments))):
            first, behind = behind, behind + sum(1 for _ in some)
            if behind > place.segment:
                begin = place if place.segment >= first else Place(first)
                own = () if again else work.references.get(label, ())
                yield (
                    again,
                    ArchivedRows(self._destination, every[:behind], begin, own, self._stopped, self._equal.get(label)),
                )
