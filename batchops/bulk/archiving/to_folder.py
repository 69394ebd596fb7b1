"""An archive in a folder: planned, opened, sealed and closed."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from batchops.archive.destination import FolderDestination
from batchops.archive.durable import make_folder
from batchops.archive.formats import SegmentFormat, format_of_name
from batchops.archive.layout import STAGING
from batchops.archive.ownership import DestinationOwner, claim, this_host
from batchops.archive.spool import FOLDER, read_header
from batchops.bulk.archiving.drafts import Drafts, draft_files
from batchops.bulk.archiving.partition_copies import PartitionCopies
from batchops.bulk.archiving.planned_tables import PlannedTable
from batchops.bulk.archiving.sealing import Sealer
from batchops.bulk.archiving.spooling import SpoolExecution, Spooling, cannot_write
from batchops.bulk.archiving.uploads import Uploads
from batchops.bulk.execution import Execution
from batchops.bulk.operations import Operation
from batchops.bulk.rows_out import RunInHand, WholeRows
from batchops.bulk.strategies.strategy import Strategy
from batchops.db.database import Database
from batchops.errors import BatchopsError, Exit, NotFoundError, UsageError
from batchops.events import Emit, Failure
from batchops.finished_details import Archived
from batchops.ledger.run import Run
from batchops.ledger.spools import Spool
from batchops.runtime.ending import Ending, ending_of
from batchops.runtime.refusal import Refusal
from batchops.runtime.retry import retrying

MOST_WAITING = 2
"""Spools that wait to be sealed, each as large as a segment, before the next batch waits too."""
_LEFT_OPEN = ("locked", "signal")
"""Endings after which spools stay as they are: the same command seals them."""


@dataclass(frozen=True)
class FolderArchive:
    """A planned archive in a folder."""

    path: Path
    tables: tuple[PlannedTable, ...]
    """The table that was named, then those below it."""
    segment_format: SegmentFormat
    segment_size: int
    server: str
    about: dict[str, Any]
    facts: tuple[tuple[str, str], ...]
    refusals: Sequence[Refusal]
    warnings: tuple[str, ...]
    retry_seconds: float
    pinned: dict[str, Any]
    """What the process that continues the run must know."""

    def open(self, of: RunInHand) -> "OpenFolder":
        """Claim the folder, and return the open archive."""
        folder, destination = self.path / FOLDER, FolderDestination(self.path)
        with of.ledger.database.reading() as connection:
            database_id = of.ledger.database_id(connection)
        owner = DestinationOwner(database_id, this_host(), of.database.address.name, self.server)
        try:
            make_folder(self.path)
            claim(destination, owner)
            make_folder(folder)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        about = self.about | {"database": asdict(owner), "started": of.run.started_at}
        sealer = Sealer(of.ledger, of.held, destination, Drafts(folder, destination), about)
        return OpenFolder(self, destination, sealer, of.database, of.run, of.emit)


class OpenFolder:
    """The archive during a run: its spools, the thread that seals them, and the run in the ledger."""

    def __init__(
        self, archive: FolderArchive, destination: FolderDestination, sealer: Sealer, database: Database, run: Run,
        emit: Emit,
    ) -> None:  # fmt: skip
        self._archive = archive
        self._destination = destination
        self._sealer = sealer
        self._run = run
        self._database = database
        family = database.backend.exact_columns.family
        self._uploads = Uploads(sealer, run.run, [one.archived(family) for one in archive.tables], emit)
        self._executions: list[SpoolExecution] = []
        self._thread = ThreadPoolExecutor(1, "batchops-seal")
        self._sealing: list[Future[int]] = []
        self._following: Future[None] | None = None
        lines = database.backend.row_lines
        assert lines is not None  # the plan refuses a database without it
        about = {"run": run.run, "format": asdict(archive.segment_format)}
        self._spooling = Spooling(
            database, sealer.ledger, lines, archive.tables, lambda one: about | one.archived(family).document(),
            sealer.drafts.folder, archive.segment_size, self._grown, self._full, self._wait_for_sealing,
        )  # fmt: skip

    def found_by(self, strategy: Strategy) -> Strategy:
        """Return the strategy unchanged: rows are archived in the batches that it finds."""
        return strategy

    def execution(self, operation: Operation) -> Execution:
        """Return the execution of one worker, with spools of its own."""
        made = SpoolExecution(self._spooling, operation)
        self._executions.append(made)
        return made

    def close(self, ending: Ending, warn: Callable[[str], None]) -> Ending:  # noqa: ARG002
        """Seal what is left, of earlier processes too, and list the run's segments."""
        for one in self._executions:
            one.leave()
        try:
            if ending.reason not in _LEFT_OPEN:
                self._finish()
        except BatchopsError as error:
            if ending.error is not None and ending.exit not in (Exit.DONE, Exit.INCOMPLETE):
                return ending
            failed = ending_of(error)
            assert failed.error is not None
            message = f"The rows are safe in spools, but not sealed: {failed.error.message}"
            hint = failed.error.hint or "run the same command again: it seals them."
            if isinstance(error, UsageError | NotFoundError):  # rows are moved already: this is not an error of usage
                return Ending("failed", Exit.FAILED, Failure("failed", message, hint))
            return Ending(failed.reason, failed.exit, Failure(failed.error.code, message, hint))
        finally:
            self._thread.shutdown()
            self._sealer.drafts.discard()
            self._destination.remove_staging()
        return ending

    def archived(self) -> Archived:
        """Return what the whole run has archived, for its summary."""
        return self._sealer.archived(self._run, [one.table for one in self._archive.tables])

    def whole(self) -> WholeRows:
        """Return what copies whole partitions, into segments that are complete before anything is dropped."""
        one = self._archive
        return PartitionCopies(
            self._database, self._sealer.ledger, self._uploads, one.tables[0], one.segment_format, one.segment_size,
            one.retry_seconds,
        )  # fmt: skip

    def _grown(self, spool: Spool) -> None:
        """Write the rows of a spool to its draft, unless an earlier call is still at work."""
        if self._following is None or self._following.done():
            self._following = self._thread.submit(self._sealer.drafts.follow, spool)

    def _full(self, spool: Spool) -> None:
        """Seal a spool of this process beside the batches; one that is small is left for the end."""
        if spool.length >= self._archive.segment_size:
            self._sealing.append(self._thread.submit(self._seal, spool.run, [spool]))

    def _wait_for_sealing(self) -> None:
        """Before a transaction: raise what went wrong, and let sealing keep up."""
        while self._sealing and (self._sealing[0].done() or len(self._sealing) > MOST_WAITING):
            self._sealing.pop(0).result()

    def _seal(self, run: int, parts: Sequence[Spool]) -> int:
        try:
            return retrying(self._archive.retry_seconds, lambda: self._sealer.seal(run, parts))
        except OSError as error:
            raise cannot_write(self._archive.path, error) from error

    def _finish(self) -> None:
        if self._following is not None:
            self._following.result()
        while self._sealing:
            self._sealing.pop(0).result()
        runs = {self._run.run, *self._settle_left()}
        for run, parts in self._grouped():
            self._seal(run, parts)
            runs.add(run)
        for run in sorted(runs):
            self._sealer.list_run(run)
            self._sealer.remove_unknown(run)
            for files in (f"*_run-{run:06}_{'[0-9]' * 6}.*", draft_files(run), f"{run}-*"):
                for left in (self._archive.path / STAGING).glob(files):
                    left.unlink(missing_ok=True)  # of a process that died while it wrote a file

    def _settle_left(self) -> set[int]:
        """Settle segments of whole partitions that this and earlier processes left undecided. Return their runs."""
        runs = set[int]()
        for run, parts in self._sealer.left_behind():
            for spool in parts:
                if format_of_name(spool.name) is not None:
                    self._uploads.settle(run, spool)
                    runs.add(run)
        return runs

    def _grouped(self) -> list[tuple[int, list[Spool]]]:
        """Return what is left to seal: groups that were decided before, and small spools of the same table together."""
        groups: list[tuple[int, list[Spool]]] = []
        alike: dict[tuple[int, str], list[Spool]] = {}
        for run, parts in self._sealer.left_behind():
            if parts[0].segment is not None:
                groups.append((run, parts))
                continue
            (spool,) = parts
            group = alike.setdefault((run, repr(read_header(self._sealer.drafts.path(spool)))), [])
            group.append(spool)
            if sum(one.length for one in group) >= self._archive.segment_size:
                groups.append((run, [*group]))
                group.clear()
        return groups + [(run, group) for (run, _), group in alike.items() if group]
