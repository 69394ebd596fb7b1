"""An archive in a bucket: segments are uploaded first, then their rows deleted as far as nobody has changed them."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from batchops.archive.formats import SegmentFormat
from batchops.archive.ownership import DestinationOwner, claim
from batchops.archive.s3 import S3Destination
from batchops.bulk.archiving.drafts import Drafts
from batchops.bulk.archiving.partition_copies import PartitionCopies
from batchops.bulk.archiving.planned_tables import PlannedTable
from batchops.bulk.archiving.sealing import Sealer
from batchops.bulk.archiving.single_rows import SingleRows
from batchops.bulk.archiving.uploads import Uploads
from batchops.bulk.archiving.whole_families import WholeFamilies
from batchops.bulk.children.taken import ChildrenOfRun
from batchops.bulk.execution import Execution
from batchops.bulk.operations import Operation
from batchops.bulk.rows_out import RunInHand, WholeRows
from batchops.bulk.strategies.strategy import Strategy
from batchops.db.database import Database
from batchops.errors import BatchopsError, Exit
from batchops.events import Emit, Failure
from batchops.finished_details import Archived
from batchops.ledger.run import Run
from batchops.runtime.ending import Ending, ending_of
from batchops.runtime.refusal import Refusal
from batchops.runtime.retry import retrying


@dataclass(frozen=True)
class BucketArchive:
    """A planned archive in the objects of a bucket."""

    destination: S3Destination
    tables: tuple[PlannedTable, ...]
    """The table that was named, then those below it."""
    children: ChildrenOfRun | None
    """What the run knows of the rows that refer to its rows; None if they are not archived."""
    followed: tuple[str, ...]
    """The columns by which rows of the first table are found again."""
    segment_format: SegmentFormat
    keep: bool
    """Whether rows stay in their table."""
    segment_size: int
    may_end_soon: bool
    """Whether a limit on time or batches may end the run."""
    most_rows: int | None
    server: str
    about: dict[str, Any]
    facts: tuple[tuple[str, str], ...]
    refusals: Sequence[Refusal]
    warnings: tuple[str, ...]
    retry_seconds: float
    pinned: dict[str, Any]

    def open(self, of: RunInHand) -> "OpenBucket":
        """Claim the bucket, and settle what earlier processes left."""
        self.destination.underway = True
        self.destination.wait_until(lambda: of.stop.at_once)
        with of.ledger.database.reading() as connection:
            database_id = of.ledger.database_id(connection)
        owner = DestinationOwner(database_id, "", of.database.address.name, self.server)
        about = self.about | {"database": asdict(owner), "started": of.run.started_at}
        drafts = Drafts(Path(), self.destination)  # it has no spools of its own
        sealer = Sealer(of.ledger, of.held, self.destination, drafts, about)
        opened = OpenBucket(self, sealer, of.database, of.run, of.emit)
        retrying(self.retry_seconds, lambda: claim(self.destination, owner))
        retrying(self.retry_seconds, opened.settle_left)
        return opened


class OpenBucket:
    """The archive during a run: its segments, and the strategies that take rows from them."""

    def __init__(self, archive: BucketArchive, sealer: Sealer, database: Database, run: Run, emit: Emit) -> None:
        self._archive = archive
        self._sealer = sealer
        self._run = run
        self._database = database
        family = database.backend.exact_columns.family
        self._uploads = Uploads(sealer, run.run, [one.archived(family) for one in archive.tables], emit)
        way = SingleRows if archive.children is None else WholeFamilies
        self._way: SingleRows | WholeFamilies = way(archive, self._uploads, sealer.ledger, database)

    def found_by(self, strategy: Strategy) -> Strategy:
        """Return a strategy whose batches are rows that are in the bucket already; `strategy` finds them before."""
        return self._way.found_by(strategy)

    def execution(self, operation: Operation) -> Execution:
        """Return the execution of one worker."""
        return self._way.execution(operation)

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
        self._way.close()
        try:
            if ending.reason == "locked":  # the segments are another process's now
                return ending
            retrying(0 if ending.reason == "signal" else self._archive.retry_seconds, self._finish)
        except BatchopsError as error:
            if ending.error is not None and ending.exit not in (Exit.DONE, Exit.INCOMPLETE):
                return ending
            failed = ending_of(error)
            if ending.reason == "signal":
                failed = replace(failed, reason=ending.reason, exit=ending.exit)
            message = f"Rows are archived, but the bucket does not say yet which: {error.message}"
            hint = error.hint or "run the same command again: it completes the archive."
            return replace(failed, error=Failure(error.reason, message, hint))
        return ending

    def archived(self) -> Archived:
        """Return what the whole run has archived, for its summary."""
        return self._sealer.archived(self._run, [one.table for one in self._archive.tables])

    def whole(self) -> WholeRows:
        """Return what copies whole partitions, into segments that are uploaded before anything is dropped."""
        one = self._archive
        return PartitionCopies(
            self._database, self._sealer.ledger, self._uploads, one.tables[0], one.segment_format, one.segment_size,
            one.retry_seconds,
        )  # fmt: skip

    def _finish(self) -> None:
        for run in sorted(self.settle_left()):
            self._sealer.list_run(run)
