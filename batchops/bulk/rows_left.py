"""Finds out how many matching rows remain once a run has ended."""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from batchops.bulk.plan.analysis import QUICK, added
from batchops.bulk.plan.plan import COUNTED
from batchops.bulk.plan.referenced_rows import ExcludedCount
from batchops.bulk.strategies.cursor import Cursor
from batchops.errors import BatchopsError
from batchops.ledger.run import Run
from batchops.runtime.ending import Ending
from batchops.runtime.loop import RunStats
from batchops.sql.selection import Selection

if TYPE_CHECKING:  # the job itself imports this
    from batchops.bulk.job import BulkJob

_OVER = ("done", "incomplete")
_AS_ASKED = (*_OVER, "max-rows", "max-total", "max-time", "max-batches", "window", "stopped", "max-rejected")


def left_of(job: "BulkJob", run: Run, ending: Ending, stats: RunStats, left_out: Sequence[ExcludedCount]) -> int | None:
    """Return how many matching rows remain; None if unknown.

    After a complete run these are the skipped rows. Otherwise they are counted if the plan could count: for a purge
    all rows that match, for a backfill the rows not reached yet and those that it skipped.
    """
    over = ending.reason in _OVER
    referred = added(one.rows for one in left_out or job.plan.left_out)
    skipped = run.rejected + len(stats.rejected) + stats.locked
    if ending.reason not in _AS_ASKED or referred is None:
        return None
    if not (job.spec.count or (job.plan.estimated_by == COUNTED and not over)):
        return (skipped + referred or None) if over else None
    anywhere = job.plan.verb.removes and job.spec.ids is None
    matching = _counted(job, run, anywhere=anywhere)
    return None if matching is None else matching + referred + (0 if anywhere else skipped)


def _counted(job: "BulkJob", run: Run, *, anywhere: bool) -> int | None:
    """Count the rows that match now, anywhere in the table or where the run has not been; None if unknown."""
    seconds = job.spec.statement_timeout.total_seconds() if job.spec.count else QUICK
    facts, table = job.database.backend.facts, job.plan.table
    with suppress(BatchopsError):
        workers = job.ledger.read(run.run).workers
        with job.database.reading() as connection:
            if anywhere:
                rows: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(table.clause)
                selection = Selection(table, job.route.pinned.condition)
                return facts.count_within(connection, rows.where(selection.clause), seconds)
            queries = [rows for worker in workers for rows in job.route.strategy.ahead(Cursor.loaded(worker.cursor))]
            return added(facts.count_within(connection, rows, seconds) for rows in queries)
    return None
