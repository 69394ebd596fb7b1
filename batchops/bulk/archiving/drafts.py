"""Writes segments while their spools grow, so that little is left to do when a spool is complete."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from batchops.archive.destination import Destination
from batchops.archive.formats import SegmentFormat
from batchops.archive.records import ArchivedTable
from batchops.archive.segments import SegmentDraft
from batchops.archive.spool import SUFFIX, frames, read_header
from batchops.errors import BatchopsError, IntegrityError
from batchops.ledger.spools import Spool

MOST = 4
"""The most drafts at a time. Each has a block of rows in memory."""


class Drafts:
    """The drafts of one process, for one thread at a time. Only the spool says which rows are archived.

    Of several spools of the same table only one is followed, as they become one segment.
    """

    def __init__(self, folder: Path, destination: Destination) -> None:
        """`folder`: the spools'."""
        self.folder = folder
        self._destination = destination
        self._begun: dict[str, _Draft] = {}
        """Drafts by the spool that each begins with."""
        self._failed: set[str] = set()

    def follow(self, spool: Spool) -> None:
        """Write the committed rows of a spool that may grow. An error is left to `complete`, which meets it again."""
        if spool.name in self._failed:
            return
        self._failed.add(spool.name)
        with suppress(BatchopsError, OSError):
            table, format = described(self.path(spool))
            if spool.name in self._begun or self._free(table):
                self._begun[spool.name] = self._read([spool], table, format)
            self._failed.remove(spool.name)

    def _free(self, table: ArchivedTable) -> bool:
        return len(self._begun) < MOST and all(draft.table != table for draft in self._begun.values())

    def complete(self, parts: Sequence[Spool], table: ArchivedTable, format: SegmentFormat) -> SegmentDraft:
        """Return a draft with all rows of these spools, which have no writer any more."""
        return self._read(parts, table, format).segment

    def discard(self) -> None:
        """Remove the drafts that did not become segments."""
        while self._begun:
            self._begun.popitem()[1].segment.discard()

    def path(self, spool: Spool) -> Path:
        """Return the spool's file; raise IntegrityError if it is gone."""
        path = self.folder / f"{spool.name}{SUFFIX}"
        if not path.exists():
            raise IntegrityError(
                f"Spool {path} is gone, which holds {spool.rows:,} rows that were deleted.",
                "run the command on the host, and with the folder, that it was run with before.",
            )
        return path

    def _read(self, parts: Sequence[Spool], table: ArchivedTable, format: SegmentFormat) -> "_Draft":
        first = next((part for part in parts if part.name in self._begun), parts[0])
        draft = self._fitting(first, format) or _Draft(
            table, SegmentDraft(self._destination.staging() / f".{first.name}", table.columns, format, table.key)
        )
        try:
            for part in (first, *(part for part in parts if part is not first)):
                draft.read(self.path(part), part)
        except BaseException:
            draft.segment.discard()
            raise
        return draft

    def _fitting(self, spool: Spool, format: SegmentFormat) -> "_Draft | None":
        """Return the draft that begins with the spool, unless it has another format, or rows that are not committed.

        A server that crashed, or its successor, may have lost commits that it had confirmed.
        """
        draft = self._begun.pop(spool.name, None)
        if draft is None or (draft.segment.format == format and draft.reached[spool.name] <= spool.length):
            return draft
        draft.segment.discard()
        return None


class _Draft:
    def __init__(self, table: ArchivedTable, segment: SegmentDraft) -> None:
        self.table = table
        self.segment = segment
        self.reached: dict[str, int] = {}
        """Where reading each spool goes on."""

    def read(self, path: Path, spool: Spool) -> None:
        """Write the committed frames of a spool that are not in the draft yet."""
        for frame in frames(path, spool.length, self.reached.setdefault(spool.name, 0)):
            self.segment.add(frame.block, frame.digest)
            self.reached[spool.name] = frame.end


def described(spool: Path) -> tuple[ArchivedTable, SegmentFormat]:
    """Return the table whose rows a spool holds, and the format of their segment."""
    header = read_header(spool)
    return ArchivedTable.of(header), SegmentFormat(**header["format"])


def draft_files(run: int) -> str:
    """Return the pattern of the names of a run's drafts."""
    return f".{run}-*"
