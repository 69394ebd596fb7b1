"""The composition root: from a spec to a plan, and from a plan to a run. It alone knows every part."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256

import sqlalchemy as sa

from batchops import __version__, lease
from batchops.allowance import Allowance
from batchops.db.connect import connect
from batchops.db.database import Database
from batchops.db.family import Timeouts
from batchops.db.urls import address
from batchops.errors import BatchopsError, Exit, LockedError, RefusedError, RowRefusedError, UsageError
from batchops.events import Emit, Finished, Started
from batchops.lanes import Lanes, LaneStep, side_by_side
from batchops.ledger import Lane, Ledger, Run
from batchops.ledgers import NONE, open_ledger
from batchops.limits import Limits
from batchops.monitor import Monitor
from batchops.operations.delete import Delete
from batchops.operations.update import Update
from batchops.owner import this_process
from batchops.pace import Pace
from batchops.plan.choice import choose
from batchops.plan.frozen import Frozen, freeze_now
from batchops.plan.make import Route, Sketch, describe, sketch
from batchops.plan.plan import Plan
from batchops.resume import AlreadyDone, Anew, GoOn, Resume, resume, unchanged
from batchops.route import start, walk_of
from batchops.runner import Ending, Job, Step, Tally
from batchops.selection import Selection
from batchops.specs import JobSpec, PurgeSpec, command
from batchops.steps import WalkStep
from batchops.stop import Stop

REJECTIONS = 100
"""Refused rows that the end of a run still names; --events has them all."""
KEEP_RUNS = 90 * 86400.0
"""Seconds after which an ended run is forgotten."""


@dataclass(frozen=True)
class Prepared:
    """A job that is planned and may be run."""

    verb: str
    spec: JobSpec
    database: Database
    ledger: Ledger
    route: Route
    job: str
    """The job's identity."""
    last: Run | None
    """The job's last run, when this one was planned."""
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
    held, now = _begin(job)
    job.database.underway = True
    walk, operation = job.route.walk, job.route.operation
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
    if ending.reason == "done" and (now.locked or now.rejected):
        ending = Ending("incomplete", Exit.INCOMPLETE)  # by an earlier process of this run
    _record_end(job.ledger, held, now, ending.reason, ending.error.message if ending.error else None)
    finished = _finished(job, now, ending, tally)
    emit(finished)
    return finished


def _prepare(verb: str, spec: JobSpec, database: Database, ledger: Ledger) -> Prepared:
    try:
        with database.reading() as connection:
            found = sketch(connection, database, verb, spec)
            if not ledger.inside and not found.wishes.repeatable:
                raise RefusedError(
                    "With the ledger elsewhere this backfill could be applied twice to the same rows.",
                    "keep the ledger in the database itself, or set columns from others than those that are set.",
                )
            job = _identity(verb, spec, found)
            last = _latest(ledger, job)
            route = _route(connection, verb, spec, database, found, last)
            plan = describe(connection, database, verb, found, route)
    except RowRefusedError as error:  # a literal in the predicate that is none of the column's type
        raise UsageError(error.message, "check the predicate and --set.") from error
    return Prepared(
        verb, spec, database, ledger, route, job, last, plan,
        done=route.resume.run if isinstance(route.resume, AlreadyDone) else None,
        workers=1 if database.family.one_writer else spec.workers,
        next=command(verb, spec, database.address.shown.replace(":***@", "@")),
        warnings=(*database.address.warnings, *_ledger_warnings(spec, ledger)),
    )  # fmt: skip


def _route(
    connection: sa.Connection, verb: str, spec: JobSpec, database: Database, found: Sketch, last: Run | None
) -> Route:
    purge = verb == "purge"
    how = resume(last, repeatable=found.wishes.repeatable, purge=purge, restart=spec.restart)
    if isinstance(how, GoOn):
        unchanged(how.run, found.table.fingerprint, walk=spec.walk, key=spec.key)
        frozen, why = Frozen.of(how.run.frozen), f"as run {how.run.run} began"
    else:
        frozen, why = _freeze(connection, database, found, spec, purge=purge)
        how = _comparable(how, frozen)
    look_again = not (isinstance(spec, PurgeSpec) and spec.no_final_pass)
    walk = walk_of(connection, database.family, found.table, frozen, look_again=look_again)
    operation = Delete() if purge else Update(frozen.assignments)
    return Route(frozen, why, walk, operation, how, start(connection, walk, how))


def _freeze(
    connection: sa.Connection, database: Database, found: Sketch, spec: JobSpec, *, purge: bool
) -> tuple[Frozen, str]:
    now = freeze_now(connection, database, found.server, found.table, spec, found.wishes)
    selection = Selection(found.table, now.predicate)
    chosen = choose(connection, database.family, selection, found.key, wanted=spec.walk, purge=purge)
    leaves = tuple((leaf.schema, leaf.name) for leaf in chosen.leaves)
    return replace(now, walk=chosen.walk, key=chosen.key, leaves=leaves), chosen.why


def _comparable(how: Resume, frozen: Frozen) -> Resume:
    """A cursor of another walk, key or table means nothing here; nothing is lost by beginning anew."""
    if not isinstance(how, Anew) or how.behind is None:
        return how
    before = Frozen.of(how.behind.frozen)
    same = (before.fingerprint, before.walk, before.key) == (frozen.fingerprint, frozen.walk, frozen.key)
    return how if same else Anew()


def _ledger_warnings(spec: JobSpec, ledger: Ledger) -> tuple[str, ...]:
    if spec.ledger == NONE:
        return ("Without a ledger a run cannot be gone on with, and a second one beside it is not noticed.",)
    if not ledger.inside:
        return ("With the ledger elsewhere work and cursor are two commits: after a crash a batch is asked for twice.",)
    return ()


def _latest(ledger: Ledger, job: str) -> Run | None:
    with ledger.database.reading() as connection:
        return ledger.latest(connection, job) if ledger.exists(connection) else None


def _identity(verb: str, spec: JobSpec, found: Sketch) -> str:
    asked = [found.server.identity, verb, found.table.schema, found.table.name, spec.wanted()]
    return sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _begin(job: Prepared) -> tuple[lease.Lease, Run]:
    """Take the lease, make sure that nobody has gone on meanwhile, and write down the run: one transaction."""
    ledger, how = job.ledger, job.route.resume
    ledger.make()
    with ledger.database.transaction() as connection:
        held = lease.acquire(connection, ledger, job.job, job.spec.lease_time.total_seconds())
        last = ledger.latest(connection, job.job)
        if last != job.last:
            raise LockedError("Another run of the same job ended just now.", "run the same command again.")
        if isinstance(how, GoOn):
            now = ledger.take_over(connection, how.run, how.base_rows)
        else:
            now = ledger.begin(connection, _row(job), [job.route.cursor])
        lease.name_run(connection, ledger, held, now.run)
        ledger.prune(connection, KEEP_RUNS)
    return held, now


def _row(job: Prepared) -> dict[str, object]:
    return {
        "job": job.job,
        "verb": job.verb,
        "table_name": job.plan.table.label,
        "walk": job.plan.walk,
        "wanted": job.spec.wanted(),
        "frozen": job.route.frozen.as_dict(),
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


def _finished(job: Prepared, now: Run, ending: Ending, tally: Tally) -> Finished:
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
        locked=tally.locked + now.locked,
        rejected=len(tally.rejected) + now.rejected,
        rejections=tuple(tally.rejected[:REJECTIONS]),
        seconds=tally.seconds,
        held_seconds=tally.held_seconds,
        cutoff=job.route.frozen.cutoff,
        left=(tally.locked + now.locked) or None,
        next=job.next if goes_on else None,
        error=ending.error,
    )
