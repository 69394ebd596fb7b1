"""Segments of a run on their way into a bucket: copied, uploaded and read back, and then decided row by row.

No lock is held meanwhile. Whether a row is still the one that was copied is checked when it is deleted.
"""

import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import sqlalchemy as sa

from batchops.archive.deleted import DeletedRows, merged
from batchops.archive.formats import RowFormat, SegmentFormat, format_of_name
from batchops.archive.layout import deleted_name, record_name, segment_name
from batchops.archive.lines import RowsDigest, hash_of
from batchops.archive.records import ArchivedTable, SegmentRecord, Sidecar
from batchops.archive.segments import write_segment
from batchops.bulk.archiving.copied_rows import CopiedRow, CopiedRows
from batchops.bulk.archiving.sealing import Sealer
from batchops.bulk.archiving.spooling import cannot_write
from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.bulk.strategies.strategy import Batch, Strategy
from batchops.db.database import Database
from batchops.db.row_lines import ReadRow
from batchops.db.table import Table
from batchops.errors import IntegrityError, NotFoundError, TimedOutError
from batchops.ledger import spools
from batchops.ledger.spools import MODULUS, Spool
from batchops.runtime.batch_size import Size

FEWEST, MOST = 100, 200_000
"""How many rows of the table one statement reads, at the least and at the most, if they are small."""
MOST_FOUND, MOST_BYTES = 4_000, 1 << 20
"""How many rows one statement should return, and how many bytes."""
SHORT = 0.5
"""If a statement takes fewer seconds, the next one may read more."""
NEVER = 1 << 62
"""The length of a segment that was given up; no other segment has it."""
EVERY_ROW = ((0, NEVER),)
"""All rows of a segment, however many."""


def proof_of(value: object) -> bytes | str:
    """Return a proof in one form, whether the server's text or the driver's value is given."""
    return bytes(value) if isinstance(value, bytes | bytearray | memoryview) else str(value)


@dataclass
class InHand:
    """A segment that this process has copied; its rows are still in their table."""

    spool: str
    """Its name in the ledger."""
    table: Table
    """The table, or the partition that its rows are in."""
    end: Range | None
    """What is left of its range behind the segment; None: nothing."""
    rows: CopiedRows = field(default_factory=CopiedRows)
    read: int = 0
    """How many rows were looked at for it."""
    bytes: int = 0
    """The bytes of the lines in it."""
    digest: RowsDigest = field(default_factory=RowsDigest)
    """The digest of these lines, as they came."""
    path: Path | None = None
    """Its file, as long as it is on this machine."""
    record: SegmentRecord | None = None
    """The record of its file; None if there is nothing to upload."""
    number: int = 0
    name: str = ""
    sent: bool = False
    """Whether it is uploaded, so that its rows may be deleted from the table."""


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
    most_rows: int | None
    """The most rows that the run may archive; None: no limit."""
    rows_at_first: int


class Uploads:
    """The segments of all workers of a process."""

    def __init__(self, copying: Copying, sealer: Sealer, run: int) -> None:
        self._own = copying
        self._sealer = sealer
        self._run = run
        self._decided: list[InHand] = []
        self._guard = threading.Lock()

    def copy(self, strategy: Strategy, cursor: Cursor) -> InHand:
        """Copy the next rows of the range in hand into a file of this machine, which is read back."""
        ending = self._own.segment_format.ending
        spool = f"{self._run}-{secrets.token_hex(8)}.{ending}"
        one = InHand(spool, self._own.source, cursor.ranges[0])
        lines = self._lines(one, strategy, cursor)
        try:
            first = next(lines, None)
            if first is not None:
                one.path = self._sealer.destination.staging() / spool
                own = self._own
                one.record = write_segment(
                    chain((first,), lines), own.table.columns, own.segment_format, one.path, own.table.key, one.digest
                )
        except OSError as error:
            one.rows.close()
            raise cannot_write(one.path or self._sealer.destination.staging(), error) from error
        return one

    def send(self, one: InHand) -> None:
        """Upload the segment, unless that is done; after an error, continue where it was."""
        if one.sent:
            return
        if one.record is None:
            one.number, one.sent = secrets.randbelow(1 << 20) + (1 << 20), True
            return
        sealer, destination = self._sealer, self._sealer.destination
        if not one.name:
            one.number = self._numbered(one.spool)
            one.name = self._name(self._run, one.number, one.spool)
        if one.path is not None:
            destination.publish(one.path, one.name)
            one.path = None
        data = Sidecar(
            one.name, self._run, self._own.table, one.record, deleted_name(one.name), self._sealer.kept
        ).dumped()  # fmt: skip
        sealer.write(record_name(one.name), data)
        one.sent = True

    def decided(self, one: InHand) -> None:
        """Note that each row of the segment is decided: it is deleted, or it stays."""
        one.rows.close()
        with self._guard:
            self._decided.append(one)

    def settle_decided(self) -> None:
        """Record in the bucket, for decided segments of this process, which of their rows were deleted."""
        while True:
            with self._guard:
                if not self._decided:
                    return
                one = self._decided.pop()
            try:
                self._settle_own(one)
            except BaseException:
                with self._guard:
                    self._decided.append(one)
                raise

    def settle(self, run: int, spool: Spool) -> None:
        """Record in the bucket, for a segment that no process works on, which rows were deleted; the others stay."""
        sealer, destination = self._sealer, self._sealer.destination
        number = spool.segment
        assert number is not None  # it has one from the start
        name = self._name(run, number, spool.name)
        try:
            sidecar = Sidecar.loaded(destination.read(record_name(name)))
        except NotFoundError:
            sidecar = None
        if sidecar is None or spool.length == NEVER:  # given up before, though the record came after all
            self._give_up(name, spool)
            return
        rows = sidecar.record.rows
        with sealer.fenced() as connection:  # before it is recorded: a process that has lost its lease records nothing
            spool = spools.close(connection, sealer.ledger, spool, rows)
        left = merged(spool.left)
        stayed = sum(behind - first for first, behind in left)
        if spool.rows + stayed != rows:
            raise IntegrityError(
                f"{name} holds {rows:,} rows, but {spool.rows:,} were deleted and {stayed:,} stayed.",
                "look at who else writes to the ledger.",
            )
        deleted = DeletedRows(spool.rows, f"{spool.digest % MODULUS:032x}", tuple(left))
        sealer.write(deleted_name(name), deleted.dumped(name))
        with sealer.fenced() as connection:
            record = {"name": name} | sidecar.record.document() | {"deleted": spool.rows}
            spools.sealed(connection, sealer.ledger, run, number, record)

    def _settle_own(self, one: InHand) -> None:
        if one.record is None:
            return
        with self._sealer.ledger.database.reading() as connection:
            spool = spools.known(connection, self._sealer.ledger, self._run, one.spool)
        if spool is not None:
            self.settle(self._run, spool)

    def _give_up(self, name: str, spool: Spool) -> None:
        """Give up a segment without a record: no row of it was deleted. If one still comes, no row of it counts."""
        if spool.rows:
            raise IntegrityError(
                f"{record_name(name)} is gone, though {spool.rows:,} rows of its segment were deleted.",
                "look at who removes objects there.",
            )
        with self._sealer.fenced() as connection:
            spools.close(connection, self._sealer.ledger, spool, NEVER)
        self._sealer.write(deleted_name(name), DeletedRows(0, f"{0:032x}", EVERY_ROW).dumped(name))
        with self._sealer.fenced() as connection:
            spools.drop(connection, self._sealer.ledger, spool)

    def _numbered(self, name: str) -> int:
        """Return the segment's number in the run. The ledger knows the segment before it is in the bucket."""
        ledger, spool = self._sealer.ledger, Spool(self._run, name, 0, 0, 0)
        with self._sealer.fenced() as connection:
            if spools.known(connection, ledger, self._run, name) is None:
                spools.add(connection, ledger, spool)
            return spools.assign(connection, ledger, self._run, [spool])

    def _name(self, run: int, number: int, spool: str) -> str:
        format, token = format_of_name(spool), spool.partition(".")[0].rpartition("-")[2]
        assert format is not None  # we have named it
        return segment_name(self._own.table.label, run, number, format, token)

    def _lines(self, one: InHand, strategy: Strategy, cursor: Cursor) -> Iterator[bytes]:
        """Yield lines until the segment is full; each statement has a transaction of its own."""
        own, rows = self._own, self._own.rows_at_first
        rest = Cursor((cursor.ranges[0],), cursor.passes, cursor.base)
        while not rest.over and one.bytes < own.segment_size and (most := self._room(one)) > 0:
            strategy.ready(rest)
            begun, most = time.monotonic(), min(rows, most)
            try:
                with own.database.reading() as connection:
                    batch = strategy.next(connection, rest, Size(most, most, unlocked=True))
                    found = [] if batch is None or batch.where is None else self._read(connection, batch)
            except TimedOutError:
                if rows <= FEWEST:
                    raise
                rows = max(FEWEST, rows // 4)
                continue
            rest = Cursor(()) if batch is None else batch.cursor
            one.end = None if rest.over else rest.ranges[0]
            if batch is not None:
                one.table, one.read = batch.selection.table, one.read + batch.read
            lines = self._kept(one, found)
            size = sum(map(len, lines))
            one.bytes += size
            fullness = max(size / MOST_BYTES, len(lines) / MOST_FOUND)
            if fullness > 1:
                rows = max(1, int(rows / max(2, fullness)))
            elif fullness < 0.5 and time.monotonic() - begun < SHORT:
                rows = min(MOST, 2 * rows)
            yield from lines

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
        assert backend.row_lines is not None  # the plan refuses a database without it
        return backend.row_lines.rows(connection, rows, table, self._own.table.columns)

    def _kept(self, one: InHand, found: Sequence[ReadRow]) -> list[bytes]:
        """Return the lines that go into the segment. A row whose values it cannot hold exactly stays, with a reason."""
        exact = [row.line for row in found if not row.reason]
        places = [place for place, row in enumerate(found) if not row.reason]
        reasons = {place: row.reason for place, row in enumerate(found) if row.reason}
        for bad in self._own.format.inexact(exact) if exact else ():
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
