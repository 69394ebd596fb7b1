"""Makes the first and the last event of a bulk run."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from batchops.bulk.begin import accept_table
from batchops.bulk.plan.plan import COUNTED
from batchops.bulk.shortfall import partial_rows
from batchops.bulk.strategies.cursor import Cursor
from batchops.errors import BatchopsError, Exit
from batchops.events import Emit, Failure, Finished, Started
from batchops.finished_details import Families
from batchops.ledger.location import NONE
from batchops.ledger.run import Run
from batchops.runtime.ending import Ending, finished
from batchops.runtime.loop import RunStats
from batchops.spec.settings import bounds_of
from batchops.version import __version__

if TYPE_CHECKING:  # the job itself imports this
    from batchops.bulk.job import BulkJob


def already_done(job: "BulkJob", run: Run, emit: Emit) -> Finished:
    """Emit and return the end of a job that an earlier run has done."""
    accept_table(job, run)
    at = datetime.fromtimestamp(run.ended_at or run.started_at, UTC).isoformat(timespec="seconds")
    end = Finished(
        verb=job.plan.verb.name, table=job.plan.label, reason="already-done", exit=int(Exit.DONE), version=__version__,
        run=run.run, strategy=run.strategy, cutoff=run.pinned["cutoff"], done_at=at, listed=job.route.pinned.listed,
    )  # fmt: skip
    if run.state == "incomplete":
        why, where = "and kept no list of those", "find and change them by hand"
        if job.route.kind.evaluates_once:
            why, where = "which were changed after they were listed", f"`batchops show {run.run}` lists them"
        message = f"Run {run.run} changed all but {run.rejected + run.locked:,} rows, {why}."
        failure = Failure("incomplete", message, f"{where}; --restart changes all of them again.")
        end = replace(end, reason="incomplete", exit=int(Exit.INCOMPLETE), rejected=run.rejected, error=failure)
    emit(end)
    return end


def started(job: "BulkJob", run: Run) -> Started:
    """Return the run's first event."""
    return Started(
        run=None if job.spec.ledger == NONE else run.run,
        verb=job.plan.verb.name,
        table=job.plan.label,
        strategy=run.strategy,
        resumed=run.batches > 0,
        table_rows=job.plan.table.rows if job.plan.pinned.listed is None else job.plan.estimate,
        estimate=job.plan.estimate,
        rows=run.rows,
        read=run.read,
        counted=job.plan.estimated_by == COUNTED,
        counts_read=job.plan.pinned.listed is not None or not job.route.kind.reads_matches,
        removes=job.plan.verb.removes,
        **bounds_of(job.spec),
    )


def ended(job: "BulkJob", run: Run, strategy: str, ending: Ending, stats: RunStats) -> Finished:
    """Return the run's last event: the counts of this process added to those of earlier ones."""
    goes_on = ending.exit not in (Exit.LOCKED, Exit.REFUSED, Exit.INTEGRITY) and ending.reason != "done"
    here = finished(job.plan.verb.name, job.plan.label, strategy, ending, stats)
    return replace(
        here,
        run=None if job.spec.ledger == NONE else run.run,
        rows=run.rows + here.rows,
        read=run.read + here.read,
        batches=run.batches + here.batches,
        rejected=run.rejected + here.rejected,
        cutoff=job.route.pinned.cutoff,
        participle=job.plan.verb.participle,
        listed=job.route.pinned.listed,
        families=_families(job, run, stats),
        next=(job.next or None) if goes_on else None,
    )


def _families(job: "BulkJob", run: Run, stats: RunStats) -> Families | None:
    """Return what the end of a purge with children says of other tables; None for other runs."""
    if job.children is None or job.children.all_match:
        return None
    begun = 0
    with suppress(BatchopsError):
        begun = sum(Cursor.loaded(worker.cursor).begun for worker in job.ledger.read(run.run).workers)
    tables = run.tables
    tables.update(stats.tables)
    return Families(dict(sorted(tables.items())), partial_rows(job, run, stats), begun)
