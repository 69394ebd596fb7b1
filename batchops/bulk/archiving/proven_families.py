"""Deletes families that are uploaded: exactly the rows that the archive has, or none of a family."""

from collections.abc import Sequence

import sqlalchemy as sa

from batchops.archive.deleted import stretches_of
from batchops.archive.lines import hash_of
from batchops.bulk.archiving.family_copies import FamilyCopy
from batchops.bulk.archiving.family_sets import FamilySet, Hashes
from batchops.bulk.archiving.planned_tables import PlannedTable
from batchops.bulk.archiving.same_columns import refuse_other_columns
from batchops.bulk.archiving.taking import TakingExecution
from batchops.bulk.archiving.uploaded_families import FamilySelection, UploadedFamilies
from batchops.bulk.operations import Operation
from batchops.bulk.strategies.cursor import Cursor
from batchops.bulk.strategies.strategy import Batch
from batchops.db.database import Database
from batchops.db.exact_text import lines_in
from batchops.db.row_lines import RowLines
from batchops.errors import IntegrityError, RowRefusedError
from batchops.ledger import spools
from batchops.ledger.ledger import Ledger
from batchops.ledger.rejected_rows import CHANGED
from batchops.ledger.run import Worker
from batchops.ledger.spools import MODULUS, Decided
from batchops.runtime.batch_size import Size
from batchops.runtime.outcome import Outcome


class ProvenTable:
    """Compares the rows of one table that are deleted with those that were copied in the same group of families."""

    def __init__(self, of: PlannedTable, lines: RowLines, ledger: Ledger) -> None:
        self.of = of
        self._lines, self._ledger = lines, ledger
        self._run, self._spool = 0, ""
        self._copied: Hashes | None = None
        self._places: dict[int, list[int]] = {}
        """Places of rows that were copied and are not deleted yet, by their hashes."""
        self._taken: list[tuple[int, int]] = []
        """Hashes and places of the rows that the transaction in hand has deleted."""
        self._opened = False
        """Whether an earlier transaction has decided on rows of the group."""

    def expect(self, copied: Hashes | None, spool: str) -> None:
        """Begin another group, in whose segment these rows follow each other; None: it has no row of the table."""
        self._copied, self._spool, self._taken, self._opened = copied, spool, [], False
        self._places = {}
        for place, hash in enumerate(() if copied is None else copied.hashes):
            self._places.setdefault(hash, []).append(place + (0 if copied is None else copied.first))

    @property
    def tried(self) -> int:
        return len(self._taken)

    @tried.setter
    def tried(self, rows: int) -> None:
        while len(self._taken) > rows:
            hash, place = self._taken.pop()
            self._places.setdefault(hash, []).append(place)

    def begin(self, worker: Worker) -> None:
        self.tried, self._run = 0, worker.run

    def take(self, block: bytes) -> None:
        """Note rows as deleted; RowRefusedError for one that is not as it was copied, or was not there then."""
        for line in lines_in(block):
            hash = hash_of(line)
            places = self._places.get(hash)
            if not places:
                raise RowRefusedError(CHANGED)
            self._taken.append((hash, places.pop()))

    def record(self, connection: sa.Connection) -> None:
        """Record which rows of the group are deleted; all others of it stay, unless a later transaction takes them."""
        if self._taken and not self.of.nulled:
            refuse_other_columns(connection, self._lines, self.of.table, self.of.every_column)
        copied = self._copied
        if copied is None or (self._opened and not self._taken):
            return
        places, behind = {place for _, place in self._taken}, copied.first + len(copied.hashes)
        digest = sum(hash for hash, _ in self._taken) % MODULUS
        if self._opened:
            spools.decide_again(connection, self._ledger, self._run, self._spool, places, digest)
            return
        left = stretches_of(place for place in range(copied.first, behind) if place not in places)
        decided = Decided(copied.first, behind, len(places), digest, tuple(left))
        spools.decide(connection, self._ledger, self._run, self._spool, decided)

    def committed(self) -> None:
        self._taken, self._opened = [], True

    def undone(self) -> None:
        pass


class ProvenExecution(TakingExecution[ProvenTable]):
    """Executes the batches of one worker: copies and uploads families, and deletes them as far as they are the same."""

    def __init__(
        self, database: Database, lines: RowLines, tables: Sequence[PlannedTable], ledger: Ledger,
        operation: Operation, families: UploadedFamilies, copy: FamilyCopy,
    ) -> None:  # fmt: skip
        super().__init__(database, operation, lines, [ProvenTable(of, lines, ledger) for of in tables])
        self._families, self._copy = families, copy
        self._set: FamilySet | None = None
        self._group: object = None
        self._selection: FamilySelection | None = None

    def ahead(self, worker: Worker, cursor: Cursor, size: Size) -> Outcome | None:  # noqa: ARG002  it has its own
        """Settle decided segments; copy the next families, a transaction at a time, and upload them."""
        self._families.settle_decided()
        if cursor.over:
            return None
        one = self._set = self._families.in_hand(cursor.ranges[0])
        if not one.copied:
            return self._families.copy(one, cursor, self._copy, size)
        if not one.sent:
            self._families.send(one)
            return Outcome(0, 0)
        group = one.group
        if group is not None and group is not self._group:
            for number, table in enumerate(self._tables.values()):
                segment = one.segments.get(number)
                table.expect(group.rows.get(number), segment.spool if segment else "")
            self._group = group
        return None

    def begin(self, worker: Worker) -> None:
        super().begin(worker)
        self._selection = None

    def record(self, connection: sa.Connection, batch: Batch, after: Worker) -> None:
        if not isinstance(batch.selection, FamilySelection):
            raise IntegrityError("A batch held rows that are in no segment; it was rolled back.", "report this.")
        if batch.selection.stop > batch.selection.start:
            super().record(connection, batch, after)
        self._selection = batch.selection

    def committed(self) -> None:
        selection, self._selection = self._selection, None
        if selection is None:
            return
        if selection.stop > selection.start:
            super().committed()
        selection.families.decided = selection.stop
        if selection.last:
            self._families.finished(selection.families)

    def undone(self) -> None:
        """Copy anew what the server has lost."""
        super().undone()
        if self._set is not None:
            self._families.finished(self._set)
        self._set = self._group = self._selection = None
