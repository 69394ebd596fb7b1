"""What a run could not change and why, as its end says it."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from batchops.bulk.plan.referenced_rows import ExcludedCount, excluded_message
from batchops.errors import BatchopsError
from batchops.events import Cause, Failure
from batchops.ledger.history import load_rejections
from batchops.ledger.location import NONE
from batchops.ledger.rejected_rows import LOCKED
from batchops.ledger.run import Run
from batchops.runtime.causes import shown_causes
from batchops.runtime.ending import as_incomplete
from batchops.runtime.loop import Ending, RunStats

if TYPE_CHECKING:  # the job itself imports this
    from batchops.bulk.job import BulkJob


def rejection_causes(job: "BulkJob", run: Run, stats: RunStats) -> tuple[Cause, ...]:
    """Why rows were rejected by this run, its earlier processes included where the ledger knows."""
    if run.rejected and job.spec.ledger != NONE:
        with suppress(BatchopsError):
            return tuple(one for one in load_rejections(job.ledger, run.run) if one.reason != LOCKED)
    return stats.rejected.causes


def explained(
    job: "BulkJob", run: Run, ending: Ending, stats: RunStats, left_out: Sequence[ExcludedCount],
    causes: Sequence[Cause],
) -> Ending:  # fmt: skip
    """The ending with what was not changed, and "incomplete" in place of done, a limit or a stop."""
    rejected, parts = run.rejected + len(stats.rejected), list[str]()
    if rejected:
        tried = run.rows + stats.rows + rejected
        why = f": {shown_causes(causes)}" if causes else ""
        parts.append(f"The database refused {rejected:,} of {tried:,} rows{why}.")
    if stats.locked and ending.reason == "incomplete":
        parts.append(f"{stats.locked:,} row{'s' if stats.locked != 1 else ''} stayed locked by other sessions.")
    if left_out:
        parts.append(excluded_message(left_out))
    if not parts:
        return ending
    error = Failure("incomplete", " ".join(parts), _hint(job, run, ending, rejected, stats))
    if ending.reason == "max-rejected":
        return replace(ending, error=replace(error, code=ending.reason))
    return as_incomplete(ending, error)


def _hint(job: "BulkJob", run: Run, ending: Ending, rejected: int, stats: RunStats) -> str:
    if not rejected:
        return "run it again once they are free." if stats.locked else "purge the rows that refer to them first."
    again = "fix the cause and run it again"
    if ending.reason == "max-rejected":
        goes_on = "from the beginning" if job.spec.ledger == NONE else "the run continues and retries these rows"
        return f"{again}: {goes_on}; --max-rejected N allows more."
    listed = "" if job.spec.ledger == NONE else f"; `batchops show {run.run}` lists the rows by reason"
    return f"{again}{'' if job.repeatable else ': it retries these rows alone'}{listed}."
