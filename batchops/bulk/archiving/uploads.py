"""Segments of a run on their way into a bucket: uploaded and read back, and then decided row by row.

No lock is held meanwhile. Whether a row is still the one that was copied is checked when it is deleted.
"""

import hashlib
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from batchops.archive.deleted import DeletedRows, merged
from batchops.archive.formats import SegmentFormat, format_of_name
from batchops.archive.layout import deleted_name, record_name, segment_name
from batchops.archive.records import ArchivedTable, SegmentRecord, Sidecar
from batchops.bulk.archiving.sealing import Sealer, name_of_segment
from batchops.errors import IntegrityError, NotFoundError
from batchops.events import Copied, Emit
from batchops.ledger import spools
from batchops.ledger.spools import MODULUS, Spool

APART = 0.5
"""Seconds between two events about rows that are copied."""
NEVER = 1 << 62
"""The length of a segment that was given up; no other segment has it."""
EVERY_ROW = ((0, NEVER),)
"""All rows of a segment, however many."""


@dataclass(kw_only=True)
class Segment:
    """A segment of one table that this process has made; its rows are still in their table."""

    spool: str
    """Its name in the ledger."""
    table: ArchivedTable
    path: Path | None = None
    """Its file, as long as it is on this machine."""
    record: SegmentRecord | None = None
    """The record of its file; None if there is nothing to upload."""
    bytes: int = 0
    """The bytes of the rows in it, as text."""
    number: int = 0
    name: str = ""
    sent: bool = False
    """Whether it is uploaded, so that its rows may be deleted from the table."""


class Uploads:
    """The segments of all workers of a process."""

    def __init__(self, sealer: Sealer, run: int, tables: Sequence[ArchivedTable], emit: Emit) -> None:
        """`tables`: those whose rows are archived; the one that the user named comes first."""
        self._sealer = sealer
        self.run = run
        self._tables = {_mark(table): table for table in tables}
        self._root = tables[0]
        self._decided: list[Segment] = []
        self._guard = threading.Lock()
        self._emit, self._emitted = emit, 0.0

    @property
    def staging(self) -> Path:
        """The folder of this machine for segments that are not uploaded yet."""
        return self._sealer.destination.staging()

    def spool_name(self, table: ArchivedTable, format: SegmentFormat) -> str:
        """Return a new name for a segment in the ledger. It tells the table, unless that is the one the user named."""
        of = "" if table == self._root else f"{_mark(table)}-"
        return f"{self.run}-{of}{secrets.token_hex(8)}.{format.ending}"

    def copied(self, rows: int, bytes: int) -> None:
        """Tell the run's listeners how much is in the segments that a worker is making, if they do not know it yet."""
        now = time.monotonic()
        if now - self._emitted >= APART:
            self._emitted = now
            self._emit(Copied(rows, bytes, uploading=False))

    def send(self, one: Segment) -> None:
        """Upload the segment, unless that is done; after an error, continue where it was."""
        if one.sent:
            return
        if one.record is None:
            one.number, one.sent = secrets.randbelow(1 << 20) + (1 << 20), True
            return
        sealer, destination = self._sealer, self._sealer.destination
        if not one.name:
            one.number = self._numbered(one.spool)
            one.name = name_of_segment(one.table, self.run, one.number, _format(one.spool), _token(one.spool))
        if one.path is not None:
            self._emit(Copied(one.record.rows, one.bytes, uploading=True))
            destination.publish(one.path, one.name)
            one.path = None
        data = Sidecar(
            one.name, self.run, one.table, one.record, deleted_name(one.name), self._sealer.kept
        ).dumped()  # fmt: skip
        sealer.write(record_name(one.name), data)
        one.sent = True

    def decided(self, one: Segment) -> None:
        """Note that each row of the segment is decided: it is deleted, or it stays."""
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
                self.settle_one(one)
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
            sidecar = Sidecar.loaded(destination.read(record_name(name))) if name else None
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

    def settle_one(self, one: Segment) -> None:
        """Record in the destination which rows of a segment of this process count, if it was published at all."""
        if one.record is None:
            return
        with self._sealer.ledger.database.reading() as connection:
            spool = spools.known(connection, self._sealer.ledger, self.run, one.spool)
        if spool is not None:
            self.settle(self.run, spool)

    def _give_up(self, name: str, spool: Spool) -> None:
        """Give up a segment without a record: no row of it was deleted. If one still comes, no row of it counts."""
        if spool.rows:
            raise IntegrityError(
                f"{record_name(name or spool.name)} is gone, though {spool.rows:,} rows of its segment were deleted.",
                "look at who removes objects there.",
            )
        with self._sealer.fenced() as connection:
            spools.close(connection, self._sealer.ledger, spool, NEVER)
        if name:
            self._sealer.write(deleted_name(name), DeletedRows(0, f"{0:032x}", EVERY_ROW).dumped(name))
        with self._sealer.fenced() as connection:
            spools.drop(connection, self._sealer.ledger, spool)

    def _numbered(self, name: str) -> int:
        """Return the segment's number in the run. The ledger knows the segment before it is in the bucket."""
        ledger, spool = self._sealer.ledger, Spool(self.run, name, 0, 0, 0)
        with self._sealer.fenced() as connection:
            if spools.known(connection, ledger, self.run, name) is None:
                spools.add(connection, ledger, spool)
            return spools.assign(connection, ledger, self.run, [spool])

    def _name(self, run: int, number: int, spool: str) -> str:
        """Return the name of a segment; empty if its table is none of this run's any more, and nothing is there."""
        mark = spool.partition(".")[0].split("-")[1:-1]
        table = self._tables.get(mark[0]) if mark else self._root
        if table is not None:
            return name_of_segment(table, run, number, _format(spool), _token(spool))
        file = segment_name("", run, number, _format(spool), _token(spool))
        return next((name for name in self._sealer.destination.names() if name.endswith(file)), "")


def _mark(table: ArchivedTable) -> str:
    """Return what tells the tables of a run apart in the names of spools, in a few characters."""
    return hashlib.blake2b(repr((table.label, table.nulled)).encode(), digest_size=6).hexdigest()


def _format(spool: str) -> SegmentFormat:
    format = format_of_name(spool)
    assert format is not None  # we have named it
    return format


def _token(spool: str) -> str:
    return spool.partition(".")[0].rpartition("-")[2]
