"""Copies the next rows of one table into a segment on this machine, in short reading transactions."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

import sqlalchemy as sa

from batchops.archive.formats import RowFormat, SegmentFormat
from batchops.archive.lines import RowsDigest, hash_of
from batchops.archive.records import ArchivedTable
from batchops.archive.segments import write_segment
from batchops.bulk.archiving.copied_rows import CopiedRow, CopiedRows
from batchops.bulk.archiving.spooling import cannot_write
from batchops.bulk.archiving.uploads import Segment, Uploads
from batchops.bulk.skipped_rows import changed_meanwhile
from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.bulk.strategies.strategy import Batch, Strategy
from batchops.db.database import Database
from batchops.db.exact_text import block_of
from batchops.db.row_lines import ReadRow
from batchops.db.table import Table
from batchops.db.types import KeyValue
from batchops.errors import TimedOutError
from batchops.runtime.batch_size import Size

FIRST_SEGMENT = 1 << 20
"""Bytes of the first segment of a run that a limit may end; each of the next ones may have twice as many.

A run with --max-time 10s that copied a whole segment first would upload as much each time, and delete little of it.
"""
FEWEST, MOST = 100, 200_000
"""How many rows of the table one statement reads, at the least and at the most, if they are small."""
MOST_FOUND, MOST_BYTES = 4_000, 1 << 20
"""How many rows one statement should return, and how many bytes."""
SHORT = 0.5
"""If a statement takes fewer seconds, the next one may read more."""


def proof_of(value: object) -> bytes | str:
    """Return a proof in one form, whether the server's text or the driver's value is given."""
    return bytes(value) if isinstance(value, bytes | bytearray | memoryview) else str(value)


@dataclass(kw_only=True)
class InHand(Segment):
    """A segment that this process has copied; its rows are still in their table."""

    source: Table
    """The table, or the partition that its rows are in."""
    end: Range | None
    """What is left of its range behind the segment; None: nothing."""
    rows: CopiedRows = field(default_factory=CopiedRows)
    read: int = 0
    """How many rows were looked at for it."""
    changed: tuple[KeyValue, ...] = ()
    """The keys of listed rows that were not copied, as they are not as they were listed."""
    digest: RowsDigest = field(default_factory=RowsDigest)
    """The digest of these lines, as they came."""


@dataclass(frozen=True)
class Copying:
    """What the segments of a run have in common."""

    database: Database
    source: Table
    table: ArchivedTable
    key: tuple[str, ...]
    """The columns by which rows are found again."""
    segment_format: SegmentFormat
    format: RowFormat
    segment_size: int
    may_end_soon: bool
    """Whether a limit on time or batches may end the run before the rows of a segment are deleted."""
    most_rows: int | None
    """The most rows that the run may archive; None: no limit."""
    rows_at_first: int


class Copies:
    """Makes the segments of all workers of a process."""

    def __init__(self, copying: Copying, uploads: Uploads) -> None:
        self._own = copying
        self._uploads = uploads
        self._enough = FIRST_SEGMENT if copying.may_end_soon else copying.segment_size
        """How many bytes fill the next segment, if they are fewer than `segment_size`."""

    def copy(self, strategy: Strategy, cursor: Cursor) -> InHand:
        """Copy the next rows of the range in hand into a file of this machine, which is read back."""
        own = self._own
        spool = self._uploads.spool_name(own.table, own.segment_format)
        one = InHand(spool=spool, table=own.table, source=own.source, end=cursor.ranges[0])
        enough, self._enough = min(self._enough, own.segment_size), 2 * self._enough
        lines, staging = self._lines(one, strategy, cursor, enough), self._uploads.staging
        try:
            first = next(lines, None)
            if first is not None:
                one.path = staging / spool
                one.record = write_segment(
                    chain((first,), lines), own.table.columns, own.segment_format, one.path, own.table.key, one.digest
                )
        except OSError as error:
            one.rows.close()
            raise cannot_write(one.path or staging, error) from error
        return one

    def _lines(self, one: InHand, strategy: Strategy, cursor: Cursor, enough: int) -> Iterator[bytes]:
        """Yield lines until the segment has so many bytes; each statement has a transaction of its own."""
        own, rows = self._own, self._own.rows_at_first
        rest = Cursor((cursor.ranges[0],), cursor.passes, cursor.base)
        while not rest.over and one.bytes < enough and (most := self._room(one)) > 0:
            strategy.ready(rest)
            begun, most = time.monotonic(), min(rows, most)
            try:
                with own.database.reading() as connection:
                    batch = strategy.next(connection, rest, Size(most, most, unlocked=True))
                    found = [] if batch is None or batch.where is None else self._read(connection, batch)
                    changed = () if batch is None else self._changed(connection, batch)
            except TimedOutError:
                if rows <= FEWEST:
                    raise
                rows = max(FEWEST, rows // 4)
                continue
            rest = Cursor(()) if batch is None else batch.cursor
            one.end = None if rest.over else rest.ranges[0]
            if batch is not None:
                one.source, one.read = batch.selection.table, one.read + batch.read
                one.changed += changed
            lines = self._kept(one, found)
            size = sum(map(len, lines))
            one.bytes += size
            fullness = max(size / MOST_BYTES, len(lines) / MOST_FOUND)
            if fullness > 1:
                rows = max(1, int(rows / max(2, fullness)))
            elif fullness < 0.5 and time.monotonic() - begun < SHORT:
                rows = min(MOST, 2 * rows)
            self._uploads.copied(len(one.rows), one.bytes)
            yield from lines

    def _changed(self, connection: sa.Connection, batch: Batch) -> tuple[KeyValue, ...]:
        return (*batch.changed_keys, *changed_meanwhile(self._own.database.backend, connection, batch))

    def _room(self, one: InHand) -> int:
        return MOST if self._own.most_rows is None else self._own.most_rows - len(one.rows)

    def _read(self, connection: sa.Connection, batch: Batch) -> list[ReadRow]:
        """Read key, proof and values of each row, by one statement, so that they belong together."""
        backend, table = self._own.database.backend, batch.selection.table
        keys = [backend.keys.out(table, name).label(f"batchops_k{i}") for i, name in enumerate(self._own.key)]
        proof = backend.row_lists.proof(table).label("batchops_proof")
        rows: sa.Select[tuple[object, ...]] = sa.select(*keys, proof).select_from(table.called)
        rows = table.alone(rows).where(*batch.conditions)
        rows = rows.order_by(*(backend.keys.order(table, name) for name in self._own.key))
        return backend.row_lines.rows(connection, rows, table, self._own.table.columns)

    def _kept(self, one: InHand, found: Sequence[ReadRow]) -> list[bytes]:
        """Return the lines that go into the segment. A row whose values it cannot hold exactly stays, with a reason."""
        exact = [row.line for row in found if not row.reason]
        places = [place for place, row in enumerate(found) if not row.reason]
        reasons = {place: row.reason for place, row in enumerate(found) if row.reason}
        for bad in self._own.format.inexact(block_of(exact)) if exact else ():
            reasons[places[bad.place]] = f"{bad.column}: {bad.reason}, and would come back as another value"
        rows = [
            CopiedRow(tuple(row.values[:-1]), proof_of(row.values[-1]), hash_of(row.line), reasons.get(place, ""))
            for place, row in enumerate(found)
        ]
        if rows:
            one.rows.add(rows)
        for row in rows:
            if not row.reason:
                one.digest.add_hash(row.hash)
        return [row.line for place, row in enumerate(found) if place not in reasons]
