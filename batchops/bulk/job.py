"""A bulk job on one database: lease, ledger, workers and heartbeat around the loop."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from batchops.bulk.begin import begin, with_previous_run
from batchops.bulk.children.own_rows import step_of
from batchops.bulk.children.taken import ChildrenOfRun
from batchops.bulk.evaluation import evaluated, forget_list
from batchops.bulk.maintenance import maintained, space_left, space_now
from batchops.bulk.plan.analysis import RunStrategy, several_workers
from batchops.bulk.plan.cost import MOST_LOG
from batchops.bulk.plan.plan import BulkPlan
from batchops.bulk.plan.referenced_rows import ExcludedCount, count_excluded
from batchops.bulk.previous_run import PreviousRun
from batchops.bulk.replan import ReadMeter, another_strategy, as_before
from batchops.bulk.rows_left import left_of
from batchops.bulk.rows_out import OpenOut, RowsOut, RunInHand
from batchops.bulk.run_events import already_done, ended, started
from batchops.bulk.shortfall import explained, rejection_causes
from batchops.bulk.spec import BulkSpec
from batchops.bulk.step import BulkStep
from batchops.bulk.strategies.strategy import Strategy
from batchops.bulk.whole_partitions import drop_partitions, with_detached
from batchops.bulk.workers import Workers, WorkerStep
from batchops.db.database import Database
from batchops.db.table import Key, Table
from batchops.errors import BatchopsError, Exit
from batchops.events import Emit, Failure, Finished, Warned
from batchops.ledger.ledger import Ledger
from batchops.ledger.requests import scopes_of
from batchops.ledger.run import Run, Worker
from batchops.runtime import lease
from batchops.runtime.control import Control
from batchops.runtime.ending import Ending, ending_of
from batchops.runtime.heartbeat import Heartbeat
from batchops.runtime.lifecycle import EventEmitter, whole_run
from batchops.runtime.live_settings import LiveSettings
from batchops.runtime.loop import REPLAN, LoopSettings, RunStats, Throttle
from batchops.runtime.parallel import run_in_threads
from batchops.runtime.refusal import refusal, refuse
from batchops.runtime.retry import retrying
from batchops.runtime.sampler import Sampler
from batchops.runtime.stop import Stop
from batchops.spec.loop_throttles import loop_throttles
from batchops.spec.settings import grace_of, live_of, loop_of, pacing_of, rate_limit
from batchops.version import __version__

END_TIMEOUT = 3.0
"""Seconds for recording the end of a run: a connection may have broken before."""


@dataclass(frozen=True)
class BulkJob:
    """A job of batches that are one transaction each, prepared on one database."""

    spec: BulkSpec
    database: Database
    ledger: Ledger
    key: Key | None
    """The table's unique key that can be followed."""
    route: RunStrategy
    previous: PreviousRun
    """What the ledger knew of the job when it was planned."""
    plan: BulkPlan
    to_drop: tuple[Table, ...]
    """Partitions to drop instead of emptying them."""
    done: Run | None
    """The run that has done the job already, if doing it again needs --restart."""
    repeatable: bool
    """Whether doing the job twice gives what once gives."""
    workers: int
    next: str
    """The command that continues the job."""
    recipe_job: str
    out: RowsOut
    """Where the rows go before they are changed."""
    again: Callable[[], "BulkJob"]
    """Plans the job again."""
    children: ChildrenOfRun | None = None
    """What the run knows of the rows that refer to its rows; None if it need not look for them."""

    def run(self, emit: Emit, stop: Stop) -> Finished:
        """Run the job. An error is raised before the run has begun; after that it is in what is returned."""
        job = with_previous_run(self, emit)
        if job.done is not None:
            return already_done(job, job.done, emit)
        refuse(job.plan.refusals)
        held, run = begin(job, stop)
        stats = RunStats(locked=run.locked)

        def failed(ending: Ending) -> Finished:
            return ended(job, run, run.strategy, ending, stats)

        return whole_run(
            emit, stop, partial(_work, job, held, run, stats), failed, grace_of(job.spec, job.database), undone=True
        )

    def not_run(self, reason: str) -> Finished:
        """Return the end of a job that is not run."""
        code, error = (Exit.FAILED if reason == "declined" else Exit.DONE), None
        if (refused := refusal(self.plan.refusals)) is not None:
            code, error = refused.exit, Failure(refused.reason, refused.message, refused.hint)
        return Finished(
            verb=self.plan.verb.name, table=self.plan.label, reason=reason, version=__version__, exit=code,
            strategy=self.plan.strategy, cutoff=self.plan.pinned.cutoff, error=error, listed=self.plan.pinned.listed,
        )  # fmt: skip


def _work(
    job: BulkJob, held: lease.Lease, run: Run, stats: RunStats, emitter: EventEmitter, stop: Stop
) -> Finished:  # fmt: skip
    """Run from Started to the end, and record the end in the ledger."""
    ending = whole = Ending("failed", Exit.FAILED)
    sampler = Sampler(job.ledger, run, stats, emitter.log)
    try:
        emitter(started(job, run))
        job.database.underway = True
        heartbeat = Heartbeat(job.ledger, held, stop, emitter.threads, sample=sampler)
        live, before = _live(job), space_now(job)
        control = _control(job, held, run, live, emitter, stop)
        with heartbeat.renewing(control.look_if_due):
            begun = time.monotonic()
            job, run = evaluated(job, run, stop)
            stats.seconds = time.monotonic() - begun  # --max-time bounds the list's time too
            out = job.out.open(RunInHand(job.database, job.ledger, run, held, emitter, stop))
            ending, strategy = _changed(job, held, run, out, heartbeat, control, live, emitter, stop, stats)
            left_out, causes = _left_out(job, ending), rejection_causes(job, run, stats)
            whole = explained(job, run, ending, stats, left_out, causes)
    except BaseException as error:
        ending = whole = ending_of(error)
        raise
    finally:
        # The ledger keeps a limit as it was: it says how the next run continues.
        state = whole.reason if ending.reason == "done" else ending.reason
        _record_end(job.ledger, held, run, sampler, state, whole.error.message if whole.error else None)
        forget_list(job)
    whole, after = maintained(job, whole, stats, emitter, stop)
    end = ended(job, run, strategy, whole, stats)
    rejected = end.rejected + sum(one.rows or 0 for one in left_out)
    left = left_of(job, run, ending, stats, left_out)
    return replace(
        end,
        rejected=rejected,
        rejected_causes=causes,
        left=left,
        maintained=after,
        space=space_left(job, stats, before),
        archived=out.archived(),
    )


def _changed(
    job: BulkJob, held: lease.Lease, run: Run, out: OpenOut, heartbeat: Heartbeat, control: Control,
    live: LiveSettings, emitter: EventEmitter, stop: Stop, stats: RunStats,
) -> tuple[Ending, str]:  # fmt: skip
    """Drop whole partitions, work through the batches, and close what is open; return the ending and the strategy."""
    ending = drop_partitions(job, held, run, out, control.throttle, live.limits, stop, stats)
    strategy = run.strategy
    if ending is None:
        ending, strategy = _throttled(job, run, out, heartbeat, control, live, emitter, stop, stats)
    begun = time.monotonic()
    ending = with_detached(job, run, out.close(ending, emitter.warn))
    stats.seconds += time.monotonic() - begun  # what is sealed at the end is the run's time too
    return ending, strategy


def _left_out(job: BulkJob, ending: Ending) -> tuple[ExcludedCount, ...]:
    """Return the rows that other tables refer to, counted after a complete run: there may be more of them now."""
    if ending.reason not in ("done", "incomplete") or not job.route.pinned.left_out:
        return ()
    seconds = job.spec.statement_timeout.total_seconds()
    with suppress(BatchopsError), job.database.reading() as connection:
        return tuple(count_excluded(connection, job.database, job.plan.table, job.route.pinned, seconds))
    return (ExcludedCount("referenced by other tables", None),)


def _live(job: BulkJob) -> LiveSettings:
    pacing = replace(pacing_of(job.spec, job.plan.table), start=job.plan.first_rows)
    if job.plan.rate is not None:
        pacing = replace(pacing, most_rows=job.plan.rate.a_batch)
    if job.plan.cost.row_log is not None:
        pacing = replace(pacing, row_bytes=job.plan.cost.row_log, most_bytes=MOST_LOG)
    live = live_of(job.spec, pacing, job.workers, several=several_workers(job.database, job.route))
    if job.children is not None:
        live.limits = job.children.limited(live.limits)
    return live


def _control(
    job: BulkJob, held: lease.Lease, run: Run, live: LiveSettings, emitter: EventEmitter, stop: Stop
) -> Control:  # fmt: skip
    """Return what obeys requests to the run; it has read those from before the beginning."""
    scopes = scopes_of(run.run, run.job, job.recipe_job)
    control = Control(job.ledger, held, scopes, live, stop, emitter.warn)
    retrying(job.spec.retry_timeout.total_seconds(), control.look, stopped=lambda: stop.asked, sleep=stop.sleep)
    return control


def _throttled(
    job: BulkJob, run: Run, out: OpenOut, heartbeat: Heartbeat, control: Control, live: LiveSettings,
    emitter: EventEmitter, stop: Stop, stats: RunStats,
) -> tuple[Ending, str]:  # fmt: skip
    plan = job.plan
    with loop_throttles(
        job.spec, plan, plan.throttles, job.database, plan.table, live, emitter, stats
    ) as throttles:  # fmt: skip
        return _loops(job, run, out, heartbeat, (control.throttle, *throttles), live, emitter, stop, stats)


def _loops(
    job: BulkJob, run: Run, out: OpenOut, heartbeat: Heartbeat, throttles: tuple[Throttle, ...], live: LiveSettings,
    emitter: EventEmitter, stop: Stop, stats: RunStats,
) -> tuple[Ending, str]:  # fmt: skip
    """Run the loop in all workers, with another strategy if the first reads too much; return the last strategy too."""
    strategy, rate = out.found_by(job.route.strategy), rate_limit(job.plan.rate)
    tried, metered = {run.strategy}, True
    while True:
        workers = Workers(
            job.database, strategy, job.ledger, run, _steps(job, strategy, out, heartbeat, metered=metered), stop, stats
        )
        base = replace(loop_of(job.spec, WorkerStep(workers), live), throttles=throttles, rate=rate)
        ending = run_in_threads(_each(base, workers), live.workers, emitter, stop, stats, emitter.threads)
        if ending.reason != REPLAN:
            return ending, run.strategy
        run = job.ledger.read(run.run)
        changed = another_strategy(job, run, frozenset(tried))
        if changed is None:
            run, metered = as_before(job, run), False
            continue
        run, strategy = changed[0], out.found_by(changed[1])
        tried.add(run.strategy)
        emitter(Warned(f"The run continues with the strategy {run.strategy}, from its beginning."))


def _steps(
    job: BulkJob, strategy: Strategy, out: OpenOut, heartbeat: Heartbeat, *, metered: bool
) -> Callable[[Worker], BulkStep]:  # fmt: skip
    def step(worker: Worker) -> BulkStep:
        execution = out.execution(job.route.operation)
        if job.children is not None:
            own, renew = step_of(job.children), heartbeat.renew_with_batch
            return own(job.database, strategy, execution, job.ledger, worker, renew, job.children)
        read_meter = ReadMeter(job.database.backend, job.plan.table, job.route.reads) if metered else None
        comes_back = job.route.kind.starts_over or (job.plan.verb.removes and job.plan.refers_to_itself)
        return BulkStep(
            job.database, strategy, execution, job.ledger, worker, read_meter,
            heartbeat.renew_with_batch, comes_back=comes_back,
        )  # fmt: skip

    return step


def _each(base: LoopSettings, workers: Workers) -> Callable[[], LoopSettings]:
    """Return what makes the loop settings of each worker; all but the step is shared."""

    def mine() -> LoopSettings:
        step = WorkerStep(workers)
        return replace(base, step=step, idle=step.idle, leave=step.leave)

    return mine


def _record_end(
    ledger: Ledger, held: lease.Lease, run: Run, sampler: Sampler, state: str, error: str | None
) -> None:  # fmt: skip
    """Record the end. If the ledger cannot be reached, the run stays as if crashed, and the next run continues it."""

    def end() -> None:
        with ledger.database.transaction() as connection:
            if lease.release(connection, ledger, held):
                sampler.end(connection, state, error)
                ledger.end(connection, run.run, state, error)

    with suppress(BatchopsError):
        retrying(END_TIMEOUT, end)
