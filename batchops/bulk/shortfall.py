"""Explains, for the end of a run, which rows it could not change and why."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from batchops.bulk.children.spec import ChildrenSpec
from batchops.bulk.plan.referenced_rows import ExcludedCount, excluded_message
from batchops.db.facts import RESTRICT
from batchops.errors import BatchopsError
from batchops.events import Failure
from batchops.finished_details import Cause
from batchops.ledger.history import load_rejections
from batchops.ledger.location import NONE
from batchops.ledger.rejected_rows import CHANGED, LOCKED, NOT_RETRIED, UNMATCHED, count_of, count_partial
from batchops.ledger.run import Run
from batchops.runtime.causes import shown_causes
from batchops.runtime.ending import Ending, as_incomplete
from batchops.runtime.loop import RunStats

if TYPE_CHECKING:  # the job itself imports this
    from batchops.bulk.job import BulkJob


def rejection_causes(job: "BulkJob", run: Run, stats: RunStats) -> tuple[Cause, ...]:
    """Return why this run rejected rows, its earlier processes included if the ledger knows."""
    if run.rejected and job.spec.ledger != NONE:
        with suppress(BatchopsError):
            return tuple(one for one in load_rejections(job.ledger, run.run) if one.reason != LOCKED)
    return stats.rejected.causes


def explained(
    job: "BulkJob", run: Run, ending: Ending, stats: RunStats, left_out: Sequence[ExcludedCount],
    causes: Sequence[Cause],
) -> Ending:  # fmt: skip
    """Return the ending with what was not changed, and "incomplete" in place of done, a limit or a stop."""
    changed, parts = _changed(job, run, stats), list[str]()
    unmatched, partial = _unmatched(job, run, stats), partial_rows(job, run, stats)
    rejected = run.rejected + len(stats.rejected) - changed - unmatched
    if rejected:
        tried = run.rows + stats.rows + rejected
        refused = [one for one in causes if one.reason not in NOT_RETRIED]
        why = f": {shown_causes(refused)}" if refused else ""
        who = "The database refused" if job.children is None else "The run rejected"  # an edge may keep them as well
        parts.append(f"{who} {rejected:,} of {tried:,} rows{why}.")
    if changed:
        each = "row was" if changed == 1 else "rows were"
        parts.append(f"{changed:,} {each} changed after the rows were listed, by {_changers(job)}, and left alone.")
    if unmatched:
        each = "row" if unmatched == 1 else "rows"
        parts.append(f"{unmatched:,} {each} matched no longer after some children were deleted: the others stay.")
    if partial > unmatched:
        parts.append(f"{partial - unmatched:,} of the rejected rows had lost some children before: the others stay.")
    if stats.locked and ending.reason == "incomplete":
        parts.append(f"{stats.locked:,} row{'s' if stats.locked != 1 else ''} stayed locked by other sessions.")
    if left_out:
        parts.append(excluded_message(left_out))
    if not parts:
        return ending
    error = Failure("incomplete", " ".join(parts), _hint(job, run, ending, rejected, changed, stats))
    if ending.reason == "max-rejected":
        return replace(ending, error=replace(error, code=ending.reason))
    return as_incomplete(ending, error)


def _changed(job: "BulkJob", run: Run, stats: RunStats) -> int:
    """How many listed rows were left alone because they had changed; by earlier processes of the run too."""
    if not run.rejected or not job.route.kind.evaluates_once:
        return stats.rejected.changed
    with suppress(BatchopsError), job.ledger.database.reading() as connection:
        return count_of(connection, job.ledger, run.run, CHANGED)
    return stats.rejected.changed


def _unmatched(job: "BulkJob", run: Run, stats: RunStats) -> int:
    """How many rows matched no longer once some of their children were deleted; by earlier processes of the run too."""
    if not run.rejected or job.children is None:
        return stats.rejected.unmatched
    with suppress(BatchopsError), job.ledger.database.reading() as connection:
        return count_of(connection, job.ledger, run.run, UNMATCHED)
    return stats.rejected.unmatched


def partial_rows(job: "BulkJob", run: Run, stats: RunStats) -> int:
    """How many rows stay although some of their children are deleted; by earlier processes of the run too."""
    if not run.rejected or job.children is None:
        return stats.rejected.partial
    with suppress(BatchopsError), job.ledger.database.reading() as connection:
        return count_partial(connection, job.ledger, run.run)
    return stats.rejected.partial


def _changers(job: "BulkJob") -> str:
    """Return who may have changed listed rows: other sessions, and the run's own triggers and foreign keys."""
    facts, event = job.plan.facts, job.plan.verb.right
    triggers = [f'trigger "{one.name}"' for one in facts.triggers if one.event == event]
    rules = [f"foreign key of {one.label}" for one in facts.references if one.action(event) != RESTRICT]
    if not triggers and not rules:
        return "other sessions"
    return f"other sessions or by this run's own {', '.join((*triggers, *rules))}"


def _hint_of_referenced(job: "BulkJob") -> str:
    if isinstance(job.spec, ChildrenSpec):
        return f"--with-children {job.plan.verb.name}s the rows that refer to them first."
    return "purge the rows that refer to them first."


def _hint(job: "BulkJob", run: Run, ending: Ending, rejected: int, changed: int, stats: RunStats) -> str:
    if changed and not rejected:
        return _hint_of_changed(job, run)
    if not rejected and _unmatched(job, run, stats):
        return f"`batchops show {run.run}` lists them; run it again to finish those that match again."
    if not rejected:
        return "run it again once they are free." if stats.locked else _hint_of_referenced(job)
    again = "fix the cause and run it again"
    if ending.reason == "max-rejected":
        goes_on = "from the beginning" if job.spec.ledger == NONE else "the run continues and retries these rows"
        return f"{again}: {goes_on}; --max-rejected N allows more."
    listed = "" if job.spec.ledger == NONE else f"; `batchops show {run.run}` lists the rows by reason"
    over = ending.reason in ("done", "incomplete")
    then = "it retries these rows alone" if over else "it continues, and once more: it retries these rows alone"
    return f"{again}{'' if job.repeatable else f': {then}'}{listed}."


def _hint_of_changed(job: "BulkJob", run: Run) -> str:
    listed = f"`batchops show {run.run}` lists them"
    if job.plan.verb.removes:
        return f"{listed}; run it again to evaluate the condition anew."
    return f"{listed}; change them by their keys, or --restart evaluates all rows anew."
