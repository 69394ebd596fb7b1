"""Rows that go into a bucket by themselves: how they are copied, and deleted where nobody has changed them."""

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from batchops.archive.deleted import stretches_of
from batchops.bulk.archiving.copying import Copies, Copying
from batchops.bulk.archiving.same_columns import refuse_other_columns
from batchops.bulk.archiving.uploaded_rows import UploadedRows, UploadedSelection
from batchops.bulk.archiving.uploads import Uploads
from batchops.bulk.execution import DirectExecution, Execution
from batchops.bulk.operations import Operation
from batchops.bulk.strategies.strategy import Batch, Strategy
from batchops.db.database import Database
from batchops.db.types import KeyValue
from batchops.errors import IntegrityError, RowRefusedError
from batchops.ledger import spools
from batchops.ledger.ledger import Ledger
from batchops.ledger.run import Worker
from batchops.ledger.spools import MODULUS, Decided

if TYPE_CHECKING:  # it imports this module
    from batchops.bulk.archiving.to_bucket import BucketArchive

_FIRST_ROWS = 4
"""How many rows the first statement reads, as their size is unknown yet; each of the next reads twice as many."""


class SingleRows:
    """Makes what archives rows of one table."""

    def __init__(
        self, archive: "BucketArchive", uploads: Uploads, ledger: Ledger, database: Database
    ) -> None:  # fmt: skip
        self._archive, self._uploads, self._ledger, self._database = archive, uploads, ledger, database
        root = archive.tables[0]
        copying = Copying(
            database, root.table, root.archived(database.backend.exact_columns.family), archive.followed,
            archive.segment_format, root.format, archive.segment_size, archive.may_end_soon,
            archive.most_rows, _FIRST_ROWS,
        )  # fmt: skip
        self._copies = Copies(copying, uploads)
        self._strategies: list[UploadedRows] = []

    def found_by(self, strategy: Strategy) -> Strategy:
        """Return a strategy whose batches are rows that are in the bucket already; `strategy` finds them before."""
        own, backend = self._archive, self._database.backend
        made = UploadedRows(strategy, self._copies, self._uploads, backend, own.followed, stay=own.keep)
        self._strategies.append(made)
        return made

    def execution(self, operation: Operation) -> Execution:
        """Return the execution of one worker."""
        return UploadedExecution(self._database, operation, self._archive, self._ledger, self._decided)

    def close(self) -> None:
        """Do nothing: no file of this machine is open between two batches."""

    def _decided(self, selection: UploadedSelection) -> None:
        for strategy in self._strategies:
            strategy.forget(selection.segment)
        selection.segment.rows.close()
        self._uploads.decided(selection.segment)


class UploadedExecution(DirectExecution):
    """Executes the batches of one worker: deletes rows, and records in the same transaction what became of them.

    If rows stay in their table, they are in the segment already, and nothing is left to do.
    """

    lazy = False

    def __init__(
        self, database: Database, operation: Operation, archive: "BucketArchive", ledger: Ledger, decided: Any
    ) -> None:
        super().__init__(database, operation)
        self._archive = archive
        self._ledger = ledger
        self._all_decided = decided
        self._deleted: set[KeyValue] = set()
        self._recorded: UploadedSelection | None = None

    def begin(self, worker: Worker) -> None:  # noqa: ARG002  the protocol's shape
        """Forget what was tried before, as it was rolled back."""
        self._deleted, self._recorded = set(), None

    def work(self, connection: sa.Connection, batch: Batch) -> int:
        """Delete the batch's rows; RowRefusedError for a row that the segment cannot hold exactly, which stays."""
        if batch.where is None:
            return 0
        selection = _of(batch)
        if not batch.keys or not selection.held.issuperset(batch.keys):
            raise IntegrityError("A batch held other rows than were uploaded; it was rolled back.", "report this.")
        reasons = {row.key: row.reason for row in selection.part.rows if row.reason}
        refused = next((reasons[key] for key in batch.keys if key in reasons), None)
        if refused is not None:
            raise RowRefusedError(refused)
        rows = super().work(connection, batch) if self.operation.removes else len(batch.keys)
        self._deleted.update(batch.keys)
        return rows

    def record(self, connection: sa.Connection, batch: Batch, after: Worker) -> None:
        """Record which rows of the segment are decided, and which of these stay."""
        selection = _of(batch)
        part, one = selection.part, selection.segment
        if self._deleted:
            lines, root = self._database.backend.row_lines, self._archive.tables[0]
            refuse_other_columns(connection, lines, root.table, root.every_column)
        if one.record is not None and part.rows:
            gone = [row for row in part.rows if row.key in self._deleted]
            digest = sum(row.hash for row in gone) % MODULUS
            left = tuple(stretches_of(part.left(self._deleted)))
            decided = Decided(part.first, part.behind, len(gone), digest, left)
            spools.decide(connection, self._ledger, after.run, one.spool, decided)
        self._recorded = selection

    def committed(self) -> None:
        """Note a segment whose last row is decided now: it is settled before the next batch."""
        recorded, self._recorded = self._recorded, None
        if recorded is not None and recorded.last:
            self._all_decided(recorded)


def _of(batch: Batch) -> UploadedSelection:
    if not isinstance(batch.selection, UploadedSelection):
        raise IntegrityError("A batch held rows that are in no segment; it was rolled back.", "report this.")
    return batch.selection
