"""Begins a run: takes the lease and records the run, in one transaction."""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import sqlalchemy as sa

from batchops.bulk.strategies.cursor import coming_back
from batchops.errors import BatchopsError, LockedError, OutcomeUnknownError
from batchops.events import Emit, Warned
from batchops.ledger.owner import this_process
from batchops.ledger.pruning import prune
from batchops.ledger.rejected_rows import RejectedRow, take_up
from batchops.ledger.resume import ContinuedRun, asked
from batchops.ledger.row_lists import drop_unneeded
from batchops.ledger.run import DETACHED, Run
from batchops.ledger.run_events import save_plan
from batchops.runtime import lease
from batchops.runtime.retry import retrying
from batchops.runtime.stop import Stop
from batchops.spec.verb import kept_plan
from batchops.version import __version__

if TYPE_CHECKING:  # the job itself imports this
    from batchops.bulk.job import BulkJob

KEEP_RUNS = 90 * 86400.0
"""Seconds after which an ended run is removed from the ledger."""
MOST_PRUNED = 1_000
"""The most runs that are removed as one begins: it must not wait for the clearing of years."""


def with_previous_run(job: "BulkJob", emit: Emit) -> "BulkJob":
    """Return the job; if its plan could not read an older ledger, upgrade the ledger and plan the job again."""
    if job.previous.ledger != "older":
        return job
    job.ledger.make()
    planned = job.again()
    for warning in planned.plan.warnings:
        if warning not in job.plan.warnings:
            emit(Warned(warning))
    return planned


def begin(job: "BulkJob", stop: Stop) -> tuple[lease.Lease, Run]:
    """Take the lease and record the run. After a lost answer to COMMIT the ledger tells whether it has begun."""
    tried: list[lease.Lease] = []

    def once() -> tuple[lease.Lease, Run]:
        if (begun := _begun(job, tried)) is not None:
            return begun
        try:
            return _begin(job, tried)
        except LockedError:  # perhaps by our own COMMIT, which was still on its way
            if (begun := _begun(job, tried)) is not None:
                return begun
            raise

    timeout = job.spec.retry_timeout.total_seconds()
    held, run = retrying(
        timeout, once, stopped=lambda: stop.asked, at_once=lambda e: isinstance(e, OutcomeUnknownError),
        sleep=stop.sleep,
    )  # fmt: skip
    with suppress(BatchopsError):  # the next run clears up as well
        prune(job.ledger, KEEP_RUNS, most=MOST_PRUNED)
        drop_unneeded(job.ledger)
    return held, run


def _begun(job: "BulkJob", tried: Sequence[lease.Lease]) -> tuple[lease.Lease, Run] | None:
    """Return the run whose beginning was tried with one of these leases, and the lease, if that is durable."""
    if not tried:
        return None
    with job.ledger.database.reading() as connection:
        for held in tried:
            number = lease.run_of(connection, job.ledger, held)
            if number is not None:
                return held, job.ledger.one(connection, number)
    return None


def _begin(job: "BulkJob", tried: list[lease.Lease]) -> tuple[lease.Lease, Run]:
    """Take the lease, make sure that nobody has continued meanwhile, and record the run, in one transaction."""
    ledger, resume = job.ledger, job.route.resume
    ledger.make()
    with ledger.database.transaction() as connection:
        key = job.previous.key(connection, ledger)
        held = lease.acquire(connection, ledger, key, job.spec.lease.total_seconds())
        tried.append(held)
        last = _last(job, connection, key)
        if isinstance(resume, ContinuedRun):
            run = ledger.take_over(connection, resume.run)
            ledger.recognise(connection, run.run, _known(job, key))
            run = take_up(connection, ledger, run, _coming_back) if resume.again else run
        else:
            if last is not None and last.state == "running":
                # --restart: it may only be stopped, and must not write once it wakes up.
                ledger.take_over(connection, last)
                ledger.end(connection, last.run, "failed", "restarted with --restart")
            row = _row(job) | _known(job, key)
            if last is not None and last.detached:  # the new run completes that, whatever else it is to do
                row["pinned"] = _pinned(job) | {DETACHED: last.pinned[DETACHED]}
                ledger.save_pinned(connection, last.run, last.pinned | {DETACHED: None})
            run = ledger.begin(connection, row, [job.route.cursor.dumped()])
        lease.name_run(connection, ledger, held, run.run)
        save_plan(connection, ledger, run.run, kept_plan(job.plan))
    return held, run


def _last(job: "BulkJob", connection: sa.Connection, key: str) -> Run | None:
    """Return the job's last run; LockedError if it is not the one that the plan knew."""
    ledger, previous = job.ledger, job.previous.last
    last = ledger.latest(connection, key)
    if previous is not None and previous.table == "renamed" and last is None:
        last = ledger.one(connection, previous.run.run)
        # The process that works on it knows the table by its other name.
        lease.release(connection, ledger, lease.acquire(connection, ledger, last.job, 0))
    if last != (previous.run if previous is not None else None):
        raise LockedError("Another run of the same job ended just now.", "run the same command again.")
    return last


def accept_table(job: "BulkJob", run: Run) -> None:
    """Record that --same-table was given for a run that is done, so that it need not be given again."""
    previous = job.previous.last
    if not job.spec.same_table or previous is None or previous.table == "same":
        return
    with job.ledger.database.transaction() as connection:
        job.ledger.recognise(connection, run.run, _known(job, job.previous.key(connection, job.ledger)))


def _known(job: "BulkJob", key: str) -> dict[str, object]:
    """The columns that identify the run in the ledger."""
    evidence = job.previous.job.evidence
    return {
        "job": key,
        "table_name": job.plan.table.label,
        "table_identity": evidence.table,
        "storage_identity": evidence.storage,
    }


def _row(job: "BulkJob") -> dict[str, object]:
    return {
        "verb": job.plan.verb.name,
        "strategy": job.plan.strategy,
        "spec": dict(job.previous.job.spec),
        "pinned": _pinned(job),
        "work": job.previous.job.work,
        "prunable": int(job.repeatable),
        "started_by": this_process().as_dict()
        | {
            "role": job.plan.server.role,
            "version": __version__,
            "database": job.plan.database,
            "command": job.next,
            "job": job.recipe_job,
            "expected": _expected(job),
        },
    }


def _pinned(job: "BulkJob") -> dict[str, object]:
    return job.route.pinned.as_dict() | {"asked": asked(job.spec.strategy, job.spec.key)} | job.out.pinned


def _expected(job: "BulkJob") -> dict[str, int | None]:
    """How many rows the whole run reads and changes, as far as the plan knows; progress is a share of the first one."""
    read = job.plan.estimate if job.plan.pinned.listed is not None else job.plan.table.rows
    return {"read": None if job.route.kind.reads_matches else read, "rows": job.plan.estimate}


def _coming_back(cursor: str, rows: Sequence[RejectedRow]) -> str:
    partial = [row.key for row in rows if row.partial]
    return coming_back(cursor, [row.key for row in rows if not row.partial], partial)
