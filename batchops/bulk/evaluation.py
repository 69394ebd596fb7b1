"""Evaluates a job's condition and values once, into a list of rows beside the ledger."""

import secrets
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from batchops import durations
from batchops.bulk.plan.checks import list_size
from batchops.bulk.plan.list_bytes import list_bytes, most_bytes
from batchops.bulk.run_strategy import operation_of, strategy_of
from batchops.bulk.strategies.row_list import RowList, to_list
from batchops.errors import RefusedError, TimedOutError
from batchops.ledger.row_lists import drop, drop_if_unneeded, name_of
from batchops.ledger.run import Run
from batchops.runtime.retry import retrying
from batchops.runtime.stop import Stop

if TYPE_CHECKING:  # the job itself imports this
    from batchops.bulk.job import BulkJob


def evaluated(job: "BulkJob", run: Run, stop: Stop) -> tuple["BulkJob", Run]:
    """Return the job and its run with the list of rows, which is made unless an earlier process completed it."""
    if not job.route.kind.evaluates_once or job.route.pinned.row_list is not None:
        return job, run
    timeout = job.spec.retry_timeout.total_seconds()
    listed = retrying(timeout, lambda: _made(job, run), stopped=lambda: stop.asked, sleep=stop.sleep)
    pinned = replace(job.route.pinned, row_list=listed)
    with job.ledger.database.transaction() as connection:
        # It fails if another process has taken the run over, which has a list of its own.
        job.ledger.reassign(connection, run.workers[0], run.workers[0].cursor)
        job.ledger.save_pinned(connection, run.run, run.pinned | pinned.as_dict())
        run = job.ledger.one(connection, run.run)
    with job.database.reading() as connection:
        strategy = strategy_of(connection, job.database, job.plan.table, pinned, look_again=False)
    operation = operation_of(job.plan.verb, pinned)
    return replace(job, route=replace(job.route, pinned=pinned, strategy=strategy, operation=operation)), run


def _made(job: "BulkJob", run: Run) -> RowList:
    pinned, database = job.route.pinned, job.database
    values = dict(pinned.assignments)
    rows = to_list(
        database.backend, job.plan.table, pinned.condition, pinned.key, [values[name] for name in pinned.stored]
    )
    with database.reading() as connection:
        now = connection.execute(sa.select(database.backend.own_tables.epoch())).scalar_one()
    at = datetime.fromtimestamp(float(now), UTC).isoformat(timespec="seconds")
    listed = RowList(job.ledger.schema, name_of(run.run, secrets.token_hex(3)), 0, pinned.key, pinned.stored, at)
    table = listed.table(job.plan.table)
    try:
        count = database.backend.row_lists.store(database, table, rows)
        _refuse_too_large(job, count)
        return replace(listed, rows=count)
    except RefusedError:
        drop(job.ledger, table.name)
        raise
    except TimedOutError as error:
        drop(job.ledger, table.name)
        longest = durations.show(job.spec.statement_timeout)
        raise RefusedError(
            f"The statement that lists the rows took longer than {longest}.",
            "allow it more: --statement-timeout; EXPLAIN shows which index it lacks.",
        ) from error


def _refuse_too_large(job: "BulkJob", rows: int) -> None:
    """Raise RefusedError if the list is too large by its real number of rows: the plan had only an estimate."""
    size, most = list_bytes(job.route.pinned, rows), most_bytes(job.plan.facts.free_bytes)
    if size > most and list_size.CHECK.name not in job.spec.allow:
        raise RefusedError(
            list_size.list_too_large(rows, size, most), f"{list_size.WAY_OUT}, or --allow {list_size.CHECK.name}."
        )


def forget_list(job: "BulkJob") -> None:
    """Remove the list of a run that is over, unless a backfill needs it to try refused rows again."""
    listed = job.route.pinned.row_list
    if listed is not None:
        drop_if_unneeded(job.ledger, listed.name)
