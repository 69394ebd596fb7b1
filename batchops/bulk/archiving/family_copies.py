"""Copies whole families: deletes them in a transaction that is rolled back, so that the copy is exactly what goes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import gettempdir

import sqlalchemy as sa

from batchops.archive.formats import SegmentFormat
from batchops.archive.lines import RowsDigest, hash_of
from batchops.archive.segments import SegmentDraft
from batchops.bulk.archiving.family_sets import FamilySet, Group, Hashes, TableSegment
from batchops.bulk.archiving.planned_tables import PlannedTable
from batchops.bulk.archiving.spooling import cannot_write
from batchops.bulk.archiving.taking import TakingExecution
from batchops.bulk.archiving.uploads import Uploads
from batchops.bulk.children.families import Families
from batchops.bulk.children.shape import Row
from batchops.bulk.children.step import FamilyStep
from batchops.bulk.children.taken import ChildrenOfRun
from batchops.bulk.isolate_rejected import SearchResult
from batchops.bulk.operations import Operation
from batchops.bulk.strategies.cursor import Cursor
from batchops.bulk.strategies.scratch_file import ScratchFile
from batchops.bulk.strategies.strategy import Batch, Strategy
from batchops.db.database import Database
from batchops.db.exact_text import lines_in
from batchops.db.row_lines import RowLines
from batchops.db.table import Table
from batchops.db.types import KeyValue
from batchops.ledger.ledger import Ledger
from batchops.ledger.rejected_rows import CHANGED, LOCKED, RejectedRow
from batchops.ledger.run import Worker
from batchops.runtime.batch_size import Size
from batchops.runtime.outcome import Outcome


class CopiedTable:
    """Keeps the rows of one table that the transaction in hand has deleted, until it is known that they go."""

    def __init__(self, of: PlannedTable) -> None:
        self.of = of
        self._file = ScratchFile()
        self._blocks: list[tuple[int, int, tuple[int, ...]]] = []
        """Offset and bytes of the lines that were taken together, and their hashes."""

    @property
    def tried(self) -> int:
        return len(self._blocks)

    @tried.setter
    def tried(self, blocks: int) -> None:
        if blocks < len(self._blocks):
            self._file.size = self._blocks[blocks][0]
            del self._blocks[blocks:]

    def begin(self, worker: Worker) -> None:  # noqa: ARG002  the protocol's shape
        self.tried = 0

    def take(self, block: bytes) -> None:
        self.of.refuse_inexact(block)
        try:
            self._blocks.append((self._file.size, len(block), tuple(map(hash_of, lines_in(block)))))
            self._file.add(block)
        except OSError as error:
            raise cannot_write(Path(gettempdir()), error) from error

    def record(self, connection: sa.Connection) -> None:
        pass

    def committed(self) -> None:
        pass

    def undone(self) -> None:
        pass

    @property
    def hashes(self) -> tuple[int, ...]:
        """The hashes of the lines, in their order."""
        return tuple(hash for *_, hashes in self._blocks for hash in hashes)

    def blocks(self) -> Iterator[tuple[bytes, RowsDigest]]:
        """Yield the lines in blocks, each with its digest."""
        for offset, size, hashes in self._blocks:
            digest = RowsDigest()
            for hash in hashes:
                digest.add_hash(hash)
            yield self._file.read(offset, size), digest


class CopyExecution(TakingExecution[CopiedTable]):
    """Takes what a transaction deletes that is rolled back then, and adds it to a set of families."""

    def __init__(
        self, database: Database, lines: RowLines, tables: Sequence[PlannedTable], format: SegmentFormat,
        uploads: Uploads, operation: Operation,
    ) -> None:  # fmt: skip
        super().__init__(database, operation, lines, [CopiedTable(of) for of in tables])
        self._format, self._uploads = format, uploads
        self._family = database.backend.exact_columns.family
        self.into: FamilySet | None = None
        """The set that takes the families."""
        self.parents: list[KeyValue] = []
        self.changed: list[KeyValue] = []
        self.refused: list[tuple[KeyValue, str]] = []
        self.locked: list[KeyValue] = []
        self._batch: Batch | None = None

    def begin(self, worker: Worker) -> None:
        super().begin(worker)
        self.parents, self.refused, self.locked, self.changed, self._batch = [], [], [], [], None

    def record(self, connection: sa.Connection, batch: Batch, after: Worker) -> None:
        super().record(connection, batch, after)
        self._batch = batch

    def committed(self) -> None:
        """Add to the set what was deleted: now it is there again."""
        one, batch = self.into, self._batch
        if one is None or batch is None:
            return
        one.refused += self.refused
        one.locked += self.locked
        one.changed += self.changed
        one.read += batch.read
        rows = {number: self._moved(one, number) for number, table in enumerate(self._tables.values()) if table.tried}
        if self.parents:
            one.add(Group(one.parents, batch.selection.table, tuple(self.parents), rows))

    def _moved(self, one: FamilySet, number: int) -> Hashes:
        """Add the rows of a table to its segment."""
        taken = [*self._tables.values()][number]
        segment = one.segments.get(number) or self._begun(one, number, taken.of)
        hashes, first = taken.hashes, segment.digest.rows
        assert segment.draft is not None  # the set is not complete
        for block, digest in taken.blocks():
            segment.draft.add(block, digest)
            segment.digest.merge(digest)
            one.bytes += len(block)
            segment.bytes += len(block)
        return Hashes(first, hashes)

    def _begun(self, one: FamilySet, number: int, of: PlannedTable) -> TableSegment:
        table = of.archived(self._family)
        spool = self._uploads.spool_name(table, self._format)
        draft = SegmentDraft(self._uploads.staging / f".{spool}", table.columns, self._format, table.key)
        one.segments[number] = TableSegment(spool=spool, table=table, draft=draft)
        return one.segments[number]


class FamilyCopy(FamilyStep):
    """Deletes families as their real deletion will, and undoes that. Its worker exists in this process alone."""

    def __init__(
        self, database: Database, strategy: Strategy, execution: CopyExecution, ledger: Ledger, worker: Worker,
        children: ChildrenOfRun,
    ) -> None:  # fmt: skip
        super().__init__(database, strategy, execution, ledger, worker, lambda _: None, children)
        self._copies = execution

    def further(self, one: FamilySet, cursor: Cursor, size: Size) -> Outcome | None:
        """Copy the next families behind the set into it; return None if none is left in its range."""
        assert one.end is not None  # else nothing is left
        self._copies.into, before = one, one.end
        self.worker = replace(self.worker, cursor=replace(cursor, ranges=(before,)).dumped())
        outcome = self._next(size)
        ranges = self.cursor.ranges
        goes_on = bool(ranges) and bool(ranges[0].keys) == bool(before.keys) and ranges[0].visits == before.visits
        one.end = ranges[0] if goes_on else None
        one.later += ranges[goes_on:]
        return outcome

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        self._execution.begin(self.worker)
        with self._database.trying() as connection:
            yield connection

    def _note(
        self, connection: sa.Connection, after: Worker, skipped: Sequence[RejectedRow]  # noqa: ARG002  overrides
    ) -> None:  # fmt: skip
        """Keep the skipped rows for the batch that deletes the others. Nothing is recorded in what is rolled back."""
        for row in skipped:
            if row.reason == LOCKED:
                self._copies.locked.append(row.key)
            elif row.reason == CHANGED:
                self._copies.changed.append(row.key)
            else:
                self._copies.refused.append((row.key, row.reason))

    def _recorded(self, after: Worker) -> Outcome:
        return self._accept(after)

    def _removed(self, families: Families, root: Table, parents: list[Row]) -> bool:
        whole = super()._removed(families, root, parents)
        self._copies.parents += [self._shapes.root.key_of(row) for row in parents] if whole else []
        return whole

    def _skip_rejected(
        self, connection: sa.Connection, batch: Batch, cursor: Cursor, done: SearchResult  # noqa: ARG002  overrides
    ) -> tuple[Cursor, tuple[RejectedRow, ...]]:  # fmt: skip
        """Keep the refused rows too: the batch that deletes the others tries them again, and reports them."""
        self._copies.refused += done.refused
        return cursor, ()
