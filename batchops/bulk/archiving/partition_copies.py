"""Copies whole partitions into segments, before these are dropped, and proves that the copies are what is there."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from batchops.archive.formats import SegmentFormat
from batchops.archive.lines import RowsDigest, digest_of
from batchops.archive.segments import SegmentDraft
from batchops.bulk.archiving.planned_tables import PlannedTable
from batchops.bulk.archiving.same_columns import refuse_other_columns
from batchops.bulk.archiving.spooling import cannot_write
from batchops.bulk.archiving.uploads import Segment, Uploads
from batchops.bulk.partition_parts import BLOCKS, parts
from batchops.db.database import Database
from batchops.db.exact_text import lines_in
from batchops.db.row_lines import RowLines
from batchops.db.table import Table
from batchops.errors import TimedOutError
from batchops.ledger import spools
from batchops.ledger.ledger import Ledger
from batchops.ledger.spools import MODULUS, Decided
from batchops.runtime.retry import retrying


class PartitionCopies:
    """Copies one partition after another, each into segments of its own that are read back.

    A segment is at its destination before its rows are dropped, and none of them counts until then: only the
    transaction of the drop decides in the ledger that they do.
    """

    slow = True

    def __init__(
        self, database: Database, ledger: Ledger, uploads: Uploads, of: PlannedTable, format: SegmentFormat,
        segment_size: int, retry_seconds: float,
    ) -> None:  # fmt: skip
        lines = database.backend.row_lines
        assert lines is not None  # the plan refuses a database without it
        self._lines: RowLines = lines
        self._database = database
        self._ledger = ledger
        self._uploads = uploads
        self._of = of
        self._archived = of.archived(database.backend.exact_columns.family)
        self._format = format
        self._segment_size = segment_size
        self._retry_seconds = retry_seconds
        self._blocks = BLOCKS
        self._segments: list[Segment] = []
        """The segments of the partition in hand."""
        self._digest = RowsDigest()
        """The digest of their rows."""

    def copy(self, leaf: Table, check: Callable[[], None]) -> None:
        """Copy all rows by short reading transactions; no transaction is open while a segment is published."""
        while True:
            self._segments, self._digest = [], RowsDigest()
            try:
                self._copy(leaf, check)
            except TimedOutError:
                if self._blocks == 1:
                    raise
                self._blocks = max(1, self._blocks // 8)
                self.settle(dropped=False)
            else:
                return

    def same(self, connection: sa.Connection, leaf: Table, check: Callable[[], None]) -> bool:
        """Whether the locked partition has exactly the copied rows, by their number and the digest of their values."""
        refuse_other_columns(connection, self._lines, leaf, self._of.every_column)
        now = RowsDigest()

        def take(block: bytes) -> None:
            now.merge(digest_of(lines_in(block)))

        for part in parts(connection, self._database.backend, leaf, self._blocks):
            self._lines.read(connection, _rows(leaf, part), leaf, self._of.columns, take)
            check()
        return now == self._digest

    def record(self, connection: sa.Connection) -> None:
        """Decide in the ledger that all rows of the segments are archived."""
        for one in self._segments:
            assert one.record is not None  # it has rows
            digest = int(one.record.digest, 16) % MODULUS
            decided = Decided(0, one.record.rows, one.record.rows, digest, ())
            spools.decide(connection, self._ledger, self._uploads.run, one.spool, decided)

    def settle(self, *, dropped: bool) -> None:  # noqa: ARG002  the ledger knows it
        """Write beside each segment which of its rows count: all of them, or none."""
        while self._segments:
            self._uploads.settle_one(self._segments[0])
            self._segments.pop(0)

    def _copy(self, leaf: Table, check: Callable[[], None]) -> None:
        with self._database.reading() as connection:
            every = [*parts(connection, self._database.backend, leaf, self._blocks)]
        waiting = iter(every)
        while (first := next(waiting, None)) is not None:
            self._copy_segment(leaf, first, waiting, check)

    def _copy_segment(
        self, leaf: Table, first: sa.ColumnElement[bool], waiting: Iterator[sa.ColumnElement[bool]],
        check: Callable[[], None],
    ) -> None:  # fmt: skip
        """Copy parts of the partition into one segment until it is full, and publish it."""
        spool, staging = self._uploads.spool_name(self._archived, self._format), self._uploads.staging
        one, digest, size = Segment(spool=spool, table=self._archived), RowsDigest(), 0
        try:
            with SegmentDraft(staging / f".{spool}", self._archived.columns, self._format, self._archived.key) as draft:

                def take(block: bytes) -> None:
                    nonlocal size
                    self._of.refuse_inexact(block)
                    own = digest_of(lines_in(block))
                    draft.add(block, own)
                    digest.merge(own)
                    size += len(block)
                    self._uploads.copied(digest.rows, size)

                part: sa.ColumnElement[bool] | None = first
                while part is not None:
                    check()
                    with self._database.reading() as connection:
                        self._lines.read(connection, _rows(leaf, part), leaf, self._of.columns, take)
                    part = next(waiting, None) if size < self._segment_size else None
                check()
                if not digest.rows:
                    return
                one.path = staging / spool
                one.record, one.bytes = draft.finish(one.path, digest), size
        except OSError as error:
            raise cannot_write(one.path or Path(staging), error) from error
        self._segments.append(one)
        self._digest.merge(digest)
        self._publish(one, check)

    def _publish(self, one: Segment, check: Callable[[], None]) -> None:
        try:
            retrying(self._retry_seconds, lambda: self._uploads.send(one), on_retry=lambda *_: check())
        except OSError as error:
            raise cannot_write(one.path or self._uploads.staging, error) from error


def _rows(leaf: Table, part: sa.ColumnElement[bool]) -> sa.Select[Any]:
    return leaf.alone(sa.select(sa.literal_column("1")).select_from(leaf.called)).where(part)
