"""The archived rows of several tables, one table after the other."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby

from batchops.archive.contents import FoundSegment
from batchops.archive.destination import Destination
from batchops.restore.parents_first import OwnReference
from batchops.restore.source import ArchivedRows, Place, RowsAt


class TablesInTurn:
    """Segments of one table that follow each other are read together: in an order, where it refers to itself."""

    def __init__(
        self, destination: Destination, segments: Sequence[FoundSegment], place: Place,
        references: Mapping[str, Sequence[OwnReference]], stopped: Callable[[], bool],
    ) -> None:  # fmt: skip
        """`references`: of each table to itself, by its label."""
        self._destination = destination
        self._segments = segments
        self._references = references
        self._stopped = stopped
        self._tables = self._from(place)
        self._rows = next(self._tables, None)

    def take(self, rows: int) -> RowsAt | None:
        """The next rows of one table, as `ArchivedRows` gives them; None at the end."""
        while self._rows is not None:
            if (taken := self._rows.take(rows)) is not None:
                return taken
            self._rows.close()
            self._rows = next(self._tables, None)
        return None

    def close(self) -> None:
        """No more is read."""
        if self._rows is not None:
            self._rows.close()

    def _from(self, place: Place) -> Iterator[ArchivedRows]:
        behind = 0
        for label, some in groupby(self._segments, lambda one: one.table.label):
            first, behind = behind, behind + sum(1 for _ in some)
            if behind > place.segment:
                begin = place if place.segment >= first else Place(first)
                own = self._references.get(label, ())
                yield ArchivedRows(self._destination, self._segments[:behind], begin, own, self._stopped)
