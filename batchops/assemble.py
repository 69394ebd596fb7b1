"""The composition root: from a spec to a plan, and from a plan to a run. It alone knows every part."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

import sqlalchemy as sa

from batchops import __version__, lease
from batchops.allowance import Allowance
from batchops.db.connect import connect
from batchops.db.database import Database
from batchops.db.family import Timeouts
from batchops.db.urls import address
from batchops.errors import BatchopsError, Exit, RefusedError
from batchops.events import Emit, Finished, Started
from batchops.lanes import Lanes, LaneStep, side_by_side
from batchops.ledger import Lane, Ledger, Run
from batchops.ledgers import NONE, open_ledger
from batchops.limits import Limits
from batchops.monitor import Monitor
from batchops.operations import Operation
from batchops.operations.delete import Delete
from batchops.operations.update import Update
from batchops.owner import this_process
from batchops.pace import Pace
from batchops.plan.frozen import Frozen, freeze_now
from batchops.plan.make import Sketch, describe, sketch
from batchops.plan.plan import Plan
from batchops.resume import AlreadyDone, Anew, GoOn, Resume, resume, unchanged
from batchops.runner import Ending, Job, Step, Tally
from batchops.selection import Selection
from batchops.specs import JobSpec, command
from batchops.steps import WalkStep
from batchops.stop import Stop
from batchops.walks.cursor import Cursor, Range
from batchops.walks.keys import KeysWalk

KEEP_RUNS = 90 * 86400.0
"""Seconds after which an ended run is forgotten."""


@dataclass(frozen=True)
class Prepared:
    """A job that is planned and may be run."""

    verb: str
    spec: JobSpec
    database: Database
    ledger: Ledger
    found: Sketch
    frozen: Frozen
    """As of now; a run that goes on brings its own."""
    job: str
    plan: Plan
    done: Run | None
    """The run that has done it already, where doing it again needs --restart."""
    workers: int
    next: str
    warnings: tuple[str, ...]

    def ended(self, reason: str, run: int | None = None) -> Finished:
        """The end of a job that did not run."""
        return Finished(
            verb=self.verb, table=self.plan.table.label, reason=reason, version=__version__, run=run,
            exit=Exit.FAILED if reason == "declined" else Exit.DONE, walk=self.plan.walk,
            cutoff=self.plan.frozen.cutoff,
        )  # fmt: skip


@contextmanager
def prepared(verb: str, spec: JobSpec, environ: Mapping[str, str]) -> Iterator[Prepared]:
    """Reach the database and plan the job, without writing anything; BatchopsError where it cannot be."""
    where = address(spec.url, environ)
    timeouts = Timeouts(spec.lock_timeout.total_seconds(), spec.statement_timeout.total_seconds())
    database = connect(where, timeouts)
    try:
        with open_ledger(spec.ledger, spec.ledger_schema, database, environ) as ledger:
            yield _prepare(verb, spec, database, ledger)
    finally:
        database.close()


def perform(job: Prepared, emit: Emit, stop: Stop) -> Finished:
    """Run what was prepared; every error once the run has begun is told in what is returned."""
    held, now, frozen = _begin(job)
    job.database.underway = True
    walk, operation = _parts(job.database, job.found, frozen)
    monitor = Monitor(job.ledger, held, stop)
    tally = Tally()
    emit(_started(job, now))

    def step(lane: Lane) -> WalkStep:
        return WalkStep(job.database, walk, operation, job.ledger, lane)

    lanes = Lanes(job.database, walk, job.ledger, now, step, stop)
    allowance = _allowance(job.spec, now)
    pace = _pace(job)
    try:
        with monitor.watching():
            ending = side_by_side(
                lambda: _job(job, pace, allowance, LaneStep(lanes), monitor), job.workers, emit, stop, tally
            )
    except BaseException as error:
        _record_end(job.ledger, held, now, "failed", f"{type(error).__name__}: {error}")
        raise
    _record_end(job.ledger, held, now, ending.reason, ending.error.message if ending.error else None)
    finished = _finished(job, now, frozen, ending, tally)
    emit(finished)
    return finished


def _prepare(verb: str, spec: JobSpec, database: Database, ledger: Ledger) -> Prepared:
    with database.reading() as connection:
        found = sketch(connection, database, verb, spec)
        if not ledger.inside and not found.wishes.repeatable:
            raise RefusedError(
                "With the ledger elsewhere this backfill could be applied twice to the same rows.",
                "keep the ledger in the database itself, or set columns from others than those that are set.",
            )
        job = _identity(verb, spec, found)
        how = _resume(verb, spec, found, _latest(ledger, job))
        now = freeze_now(connection, database, found.server, found.table, spec, found.wishes, found.key)
        frozen = Frozen.of(how.run.frozen) if isinstance(how, GoOn) else now
        walk, operation = _parts(database, found, frozen)
        cursor = _cursor(connection, walk, how)
        plan = describe(connection, database, verb, found, frozen, walk, operation, how, cursor)
    return Prepared(
        verb, spec, database, ledger, found, now, job, plan,
        done=how.run if isinstance(how, AlreadyDone) else None,
        workers=1,
        next=command(verb, spec, database.address.shown.replace(":***@", "@")),
        warnings=(*database.address.warnings, *_ledger_warnings(spec, ledger)),
    )  # fmt: skip


def _ledger_warnings(spec: JobSpec, ledger: Ledger) -> tuple[str, ...]:
    if spec.ledger == NONE:
        return ("Without a ledger a run cannot be gone on with, and a second one beside it is not noticed.",)
    if not ledger.inside:
        return ("With the ledger elsewhere work and cursor are two commits: after a crash a batch is asked for twice.",)
    return ()


def _latest(ledger: Ledger, job: str) -> Run | None:
    with ledger.database.reading() as connection:
        return ledger.latest(connection, job) if ledger.exists(connection) else None


def _resume(verb: str, spec: JobSpec, found: Sketch, last: Run | None) -> Resume:
    how = resume(last, repeatable=found.wishes.repeatable, purge=verb == "purge", restart=spec.restart)
    if isinstance(how, GoOn):
        unchanged(how.run, found.table.fingerprint, found.key)
    if isinstance(how, Anew) and how.behind is not None:
        frozen = how.behind.frozen
        if (frozen["fingerprint"], tuple(frozen["key"])) != (found.table.fingerprint, found.key):
            return Anew()  # its cursor means nothing here, and nothing is lost by beginning anew
    return how


def _identity(verb: str, spec: JobSpec, found: Sketch) -> str:
    asked = [found.server.identity, verb, found.table.schema, found.table.name, spec.wanted()]
    return sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _parts(database: Database, found: Sketch, frozen: Frozen) -> tuple[KeysWalk, Operation]:
    selection = Selection(found.table, frozen.predicate)
    operation = Update(frozen.assignments) if frozen.assignments else Delete()
    return KeysWalk(database.family, selection, frozen.key), operation


def _cursor(connection: sa.Connection, walk: KeysWalk, how: Resume) -> Cursor:
    """Where the run begins: where it was, or at the start, or behind another one and round to there again."""
    if isinstance(how, GoOn):
        return how.run.lanes[0].cursor
    whole = walk.begin(connection)
    behind = how.behind.lanes[0].cursor.position if isinstance(how, Anew) and how.behind else None
    if behind is None or whole.over:
        return whole
    return Cursor((Range(behind, whole.ranges[0].upto), Range(None, behind)))


def _begin(job: Prepared) -> tuple[lease.Lease, Run, Frozen]:
    """Take the lease, look again how the last run ended, and write down the new one: one transaction."""
    ledger, spec = job.ledger, job.spec
    ledger.make()
    with ledger.database.transaction() as connection:
        held = lease.acquire(connection, ledger, job.job, spec.lease_time.total_seconds())
        how = _resume(job.verb, spec, job.found, ledger.latest(connection, job.job))
        if isinstance(how, GoOn):
            now = ledger.take_over(connection, how.run, how.base_rows)
        else:
            walk, _ = _parts(job.database, job.found, job.frozen)
            now = ledger.begin(connection, _row(job), [_first_cursor(job, connection, walk, how)])
        lease.name_run(connection, ledger, held, now.run)
        ledger.prune(connection, KEEP_RUNS)
    return held, now, Frozen.of(now.frozen)


def _first_cursor(job: Prepared, connection: sa.Connection, walk: KeysWalk, how: Resume) -> Cursor:
    if job.ledger.inside:
        return _cursor(connection, walk, how)
    with job.database.reading() as target:
        return _cursor(target, walk, how)


def _row(job: Prepared) -> dict[str, object]:
    return {
        "job": job.job,
        "verb": job.verb,
        "table_name": job.plan.table.label,
        "walk": job.plan.walk,
        "wanted": job.spec.wanted(),
        "frozen": job.frozen.as_dict(),
        "started_by": this_process().as_dict()
        | {"role": job.plan.server.role, "version": __version__, "database": job.plan.database},
    }


def _started(job: Prepared, now: Run) -> Started:
    return Started(
        run=None if job.spec.ledger == NONE else now.run,
        verb=job.verb,
        table=job.plan.table.label,
        walk=now.walk,
        resumed=now.batches > 0,
        table_rows=job.plan.table.rows,
        estimate=job.plan.estimate,
        rows=now.rows,
        read=now.read,
    )


def _allowance(spec: JobSpec, now: Run) -> Allowance | None:
    """After a crash the rest of it; what the run had changed before this allowance began does not count."""
    used = now.rows - now.base_rows
    return None if spec.max_rows is None else Allowance(max(0, spec.max_rows - used))


def _pace(job: Prepared) -> Pace:
    spec, table = job.spec, job.plan.table
    return Pace(
        target=spec.target_time.total_seconds(),
        fixed=spec.batch_size,
        row_bytes=table.bytes / table.rows if table.bytes and table.rows else None,
    )


def _job(job: Prepared, pace: Pace, allowance: Allowance | None, step: Step, monitor: Monitor) -> Job:
    spec = job.spec
    return Job(
        step=step,
        pace=pace,
        limits=Limits(
            rows=allowance,
            seconds=None if spec.max_time is None else spec.max_time.total_seconds(),
            batches=spec.max_batches,
            window=spec.window,
            wall=lambda: datetime.now(spec.time_zone),
        ),
        rest=spec.rest.total_seconds(),
        patience=spec.retry_time.total_seconds(),
        between=monitor.between_batches,
    )


def _record_end(ledger: Ledger, held: lease.Lease, now: Run, state: str, error: str | None) -> None:
    """Where the ledger cannot be reached, the run stays as if crashed; whoever comes next goes on with it."""
    with suppress(BatchopsError), ledger.database.transaction() as connection:
        if lease.release(connection, ledger, held):
            ledger.end(connection, now.run, state, error)


def _finished(job: Prepared, now: Run, frozen: Frozen, ending: Ending, tally: Tally) -> Finished:
    goes_on = ending.exit not in (Exit.LOCKED, Exit.INTEGRITY) and ending.reason != "done"
    return Finished(
        verb=job.verb,
        table=job.plan.table.label,
        reason=ending.reason,
        exit=int(ending.exit),
        version=__version__,
        run=None if job.spec.ledger == NONE else now.run,
        walk=now.walk,
        rows=now.rows + tally.rows,
        read=now.read + tally.read,
        batches=now.batches + tally.batches,
        retries=tally.retries,
        locked=tally.locked,
        seconds=tally.seconds,
        held_seconds=tally.held_seconds,
        cutoff=frozen.cutoff,
        left=tally.locked or None,
        next=job.next if goes_on else None,
        error=ending.error,
    )
