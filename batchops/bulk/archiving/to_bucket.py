"""An archive in a bucket: segments are uploaded first, then their rows deleted as far as nobody has changed them."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from batchops.archive.deleted import stretches_of
from batchops.archive.formats import RowFormat, SegmentFormat
from batchops.archive.ownership import DestinationOwner, claim
from batchops.archive.records import ArchivedTable
from batchops.archive.s3 import S3Destination
from batchops.bulk.archiving.copying import Copies, Copying
from batchops.bulk.archiving.drafts import Drafts
from batchops.bulk.archiving.same_columns import refuse_other_columns
from batchops.bulk.archiving.sealing import Sealer
from batchops.bulk.archiving.uploaded_rows import UploadedRows, UploadedSelection
from batchops.bulk.archiving.uploads import Uploads
from batchops.bulk.execution import DirectExecution, Execution
from batchops.bulk.operations import Operation
from batchops.bulk.strategies.strategy import Batch, Strategy
from batchops.db.database import Database
from batchops.db.exact_columns import ExactColumn
from batchops.db.table import Table
from batchops.db.types import KeyValue
from batchops.errors import BatchopsError, Exit, IntegrityError, RowRefusedError
from batchops.events import Failure
from batchops.finished_details import Archived
from batchops.ledger import spools
from batchops.ledger.ledger import Ledger
from batchops.ledger.run import Run, Worker
from batchops.ledger.spools import MODULUS, Decided
from batchops.runtime.ending import Ending, ending_of
from batchops.runtime.lease import Lease
from batchops.runtime.refusal import Refusal
from batchops.runtime.retry import retrying

_FIRST_ROWS = 4
"""How many rows the first statement reads, as their size is unknown yet; each of the next reads twice as many."""


@dataclass(frozen=True)
class BucketArchive:
    """A planned archive in the objects of a bucket."""

    destination: S3Destination
    table: Table
    columns: Sequence[ExactColumn]
    every_column: tuple[str, ...]
    archived_key: tuple[str, ...]
    followed: tuple[str, ...]
    """The columns by which rows are found again."""
    segment_format: SegmentFormat
    format: RowFormat
    keep: bool
    """Whether rows stay in their table."""
    segment_size: int
    most_rows: int | None
    server: str
    about: dict[str, Any]
    facts: tuple[tuple[str, str], ...]
    refusals: Sequence[Refusal]
    warnings: tuple[str, ...]
    retry_seconds: float
    pinned: dict[str, Any]

    def open(self, database: Database, ledger: Ledger, run: Run, held: Lease) -> "OpenBucket":
        """Claim the bucket, and settle what earlier processes left."""
        self.destination.underway = True
        with ledger.database.reading() as connection:
            database_id = ledger.database_id(connection)
        owner = DestinationOwner(database_id, "", database.address.name, self.server)
        about = self.about | {"database": asdict(owner), "started": run.started_at}
        drafts = Drafts(Path(), self.destination)  # it has no spools of its own
        sealer = Sealer(ledger, held, self.destination, drafts, about)
        opened = OpenBucket(self, sealer, database, run)
        retrying(self.retry_seconds, lambda: claim(self.destination, owner))
        retrying(self.retry_seconds, opened.settle_left)
        return opened


class OpenBucket:
    """The archive during a run: its segments, and the strategies that take rows from them."""

    def __init__(self, archive: BucketArchive, sealer: Sealer, database: Database, run: Run) -> None:
        self._archive = archive
        self._sealer = sealer
        self._database = database
        self._run = run
        family = database.backend.exact_columns.family
        table = ArchivedTable(archive.table.label, tuple(archive.columns), archive.archived_key, family)
        copying = Copying(
            database, archive.table, table, archive.followed, archive.segment_format, archive.format,
            archive.segment_size, archive.most_rows, _FIRST_ROWS,
        )  # fmt: skip
        self._uploads = Uploads(sealer, run.run, [table])
        self._copies = Copies(copying, self._uploads)
        self._strategies: list[UploadedRows] = []

    def found_by(self, strategy: Strategy) -> Strategy:
        """Return a strategy whose batches are rows that are in the bucket already; `strategy` finds them before."""
        own = self._archive
        made = UploadedRows(strategy, self._copies, self._uploads, self._database.backend, own.followed, stay=own.keep)
        self._strategies.append(made)
        return made

    def execution(self, operation: Operation) -> Execution:
        """Return the execution of one worker."""
        return UploadedExecution(self._database, operation, self._archive, self._sealer.ledger, self._decided)

    def settle_left(self) -> set[int]:
        """Settle segments of this and earlier processes to which nobody adds rows any more. Return their runs."""
        runs = {self._run.run}
        for run, parts in self._sealer.left_behind():
            for spool in parts:
                self._uploads.settle(run, spool)
            runs.add(run)
        return runs

    def close(self, ending: Ending, warn: Callable[[str], None]) -> Ending:  # noqa: ARG002
        """Settle all segments, and list those of the run."""
        try:
            if ending.reason == "locked":  # the segments are another process's now
                return ending
            retrying(0 if ending.reason == "signal" else self._archive.retry_seconds, self._finish)
        except BatchopsError as error:
            if ending.error is not None and ending.exit not in (Exit.DONE, Exit.INCOMPLETE):
                return ending
            failed = ending_of(error)
            assert failed.error is not None
            message = f"Rows are archived, but the bucket does not say yet which: {failed.error.message}"
            hint = failed.error.hint or "run the same command again: it completes the archive."
            return Ending(failed.reason, failed.exit, Failure(failed.error.code, message, hint))
        return ending

    def archived(self) -> Archived:
        """Return what the whole run has archived, for its summary."""
        ledger, to = self._sealer.ledger, self._archive.destination.shown
        with ledger.database.reading() as connection:
            sealed = spools.records(connection, ledger, self._run.run)
            waiting = spools.unsealed(connection, ledger, self._run.job)
        return Archived(
            to=to, segments=len(sealed), bytes=sum(one["bytes"] for one in sealed),
            unsealed=sum(spool.rows for spool in waiting),
            verify=f"batchops archive verify {to}" if sealed else None,
            restore=f"batchops restore {to} --table {self._archive.table.label}" if sealed else None,
        )  # fmt: skip

    def _decided(self, selection: UploadedSelection) -> None:
        for strategy in self._strategies:
            strategy.forget(selection.segment)
        selection.segment.rows.close()
        self._uploads.decided(selection.segment)

    def _finish(self) -> None:
        for run in sorted(self.settle_left()):
            self._sealer.list_run(run)


class UploadedExecution(DirectExecution):
    """Executes the batches of one worker: deletes rows, and records in the same transaction what became of them.

    If rows stay in their table, they are in the segment already, and nothing is left to do.
    """

    lazy = False

    def __init__(
        self, database: Database, operation: Operation, archive: BucketArchive, ledger: Ledger, decided: Any
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
            lines = self._database.backend.row_lines
            assert lines is not None  # the plan refuses a database without it
            refuse_other_columns(connection, lines, self._archive.table, self._archive.every_column)
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
