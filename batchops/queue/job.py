"""A drain on one database: the claims, leases, handler and workers around the loop."""

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial

from batchops import durations
from batchops.db.database import Database
from batchops.db.types import KeyValue
from batchops.errors import BatchopsError, Exit
from batchops.events import Emit, Failure, Finished, Started, Warned
from batchops.finished_details import Drained
from batchops.ledger.ledger import Ledger
from batchops.queue.claims import Claims
from batchops.queue.deadline import Deadline
from batchops.queue.handlers import Handler
from batchops.queue.handlers.child_process import LAST_SECONDS
from batchops.queue.in_transaction import InTransaction
from batchops.queue.last_look import LastLook
from batchops.queue.leases import Leases
from batchops.queue.leases.columns import ColumnLeases
from batchops.queue.leases.row_lock import RowLocks
from batchops.queue.leases.table import TableLeases
from batchops.queue.low_water import QueueLowWaterMark
from batchops.queue.mark_check import Marks
from batchops.queue.queue import Queue
from batchops.queue.row_lock_step import RowLockStep
from batchops.queue.spec import DrainSpec
from batchops.queue.status import Holder, QueueStatus
from batchops.queue.step import ClaimStep
from batchops.runtime.backlog import BacklogMonitor
from batchops.runtime.backoff import RetryPolicy
from batchops.runtime.causes import shown_causes
from batchops.runtime.counters import Counters, Counts
from batchops.runtime.ending import Ending, as_incomplete, ending_of, finished, of_one_that_stays
from batchops.runtime.idle import Due, Idle
from batchops.runtime.lifecycle import EventEmitter, whole_run
from batchops.runtime.live_settings import LiveSettings
from batchops.runtime.loop import LoopSettings, RunStats, Step, Throttle
from batchops.runtime.parallel import run_in_threads
from batchops.runtime.run_record import RunFacts, RunRecord, run_record
from batchops.runtime.stop import Stop
from batchops.runtime.threads import Threads
from batchops.runtime.wake import woken
from batchops.spec.command_line import command, quoted
from batchops.spec.loop_throttles import loop_throttles
from batchops.spec.settings import bounds_of, grace_of, live_of, loop_of, pacing_of
from batchops.spec.verb import FactsPlan, kept_plan
from batchops.throttles.chosen import ChosenThrottle
from batchops.version import __version__

CLAIMS = "claims"
"""The strategy that a drain reports: rows are found by claims."""
Wait = Callable[[float], None]
MARGIN = 2.0
"""Seconds after the grace period during which the results of the batch in progress are still recorded."""


@dataclass(frozen=True)
class DrainJob:
    """A drain prepared on one database."""

    spec: DrainSpec
    database: Database
    queue: Queue
    leases: Leases | RowLocks
    handler: Handler
    estimate: int | None
    plan: FactsPlan
    again: str = ""
    ledger: Ledger | None = None
    """The ledger that records the run; None without one."""
    recipe_job: str = ""
    throttles: tuple[ChosenThrottle, ...] = ()

    def run(self, emit: Emit, stop: Stop) -> Finished:
        """Run the drain. An error before it begins is raised; a later one is in what this returns."""
        self.database.underway = True
        stats, counters = RunStats(), Counters("claimed", "failed", "dead_letters", "lost", "released")
        backlog_monitor = BacklogMonitor(self.database, self.leases, counters)

        def work(emitter: EventEmitter, stop: Stop) -> Finished:
            live = _live(self)
            begun = partial(_begun, self, emitter)
            with run_record(self.ledger, _facts(self), live, stats, stop, emitter, begun) as record:
                ending = _work(self, live, record, emitter, stop, stats, counters, backlog_monitor)
                counts = backlog_monitor.counts()
                ending = _ended(self, ending, stats, counters, counts, stop)
                return record.ended(_finished(self, ending, stats, counters, counts))

        grace = grace_of(self.spec, self.database, MARGIN)
        return whole_run(emit, stop, work, lambda ending: _finished(self, ending, stats, counters, None), grace)

    def not_run(self, reason: str) -> Finished:
        """Return the end of a job that is not run."""
        return Finished(self.plan.verb.name, self.plan.label, reason, 0, __version__, strategy=CLAIMS)


def _live(job: DrainJob) -> LiveSettings:
    pacing = replace(pacing_of(job.spec, job.queue.table), most_bytes=job.spec.max_bytes)
    one = job.database.backend.sessions.one_writer and job.handler.in_transaction
    return live_of(job.spec, pacing, 1 if one else job.spec.workers, several=not one)


def _facts(job: DrainJob) -> RunFacts:
    shown = job.database.address.shown
    return RunFacts(
        job.plan.verb.name, job.plan.label, CLAIMS, shown, job.spec.where, command=_next(job),
        recipe_job=job.recipe_job, plan=kept_plan(job.plan),
    )  # fmt: skip


def _begun(job: DrainJob, emitter: EventEmitter, run: int | None) -> None:
    rows, bounds = job.queue.table.rows, bounds_of(job.spec)
    emitter(Started(run, job.plan.verb.name, job.plan.label, CLAIMS, False, rows, job.estimate, **bounds))


def _work(
    job: DrainJob, live: LiveSettings, record: RunRecord, emitter: EventEmitter, stop: Stop, stats: RunStats,
    counters: Counters, backlog_monitor: BacklogMonitor,
) -> Ending:  # fmt: skip
    with ExitStack() as stack:
        stack.enter_context(backlog_monitor.emitting(emitter, emitter.threads))
        documents = job.queue.documents(job.database.backend)
        job.handler.open(job.queue.key, documents, lambda text: emitter(Warned(text)))
        step = Steps(job, stop, counters, emitter.threads, stack)
        wait = stack.enter_context(woken(job.database, job.spec.listen, stop, emitter.threads, emitter))
        timeout = job.spec.lock_timeout.total_seconds()
        last = LastLook(job.database, job.leases, timeout, step.left_alone, step.leased)
        due = Due(job.database, job.leases.next_due)
        asked = loop_throttles(
            job.spec, job.plan, job.throttles, job.database, job.queue.table, live, emitter, stats
        )  # fmt: skip
        throttles = stack.enter_context(asked)
        ending = run_in_threads(
            lambda: _loop_settings(job, live, (record.throttle, *throttles), step(), last, due, wait),
            live.workers,
            emitter,
            stop,
            stats,
            emitter.threads,
        )
    stats.locked = last.locked if ending.reason in ("done", "incomplete") else 0
    if step.marks.refusal is not None and ending.exit in (Exit.DONE, Exit.INCOMPLETE):
        return ending_of(step.marks.refusal)  # a limit may have ended the run before a worker raised this
    return ending


def _mark(queue: Queue) -> str:
    """Return the flags that mark a row as done."""
    if queue.done is None:
        return "--delete"
    return "--set and --done" if queue.work else "--done"


class Steps:
    """Makes a step for each worker. The objects that the steps share are made once."""

    def __init__(self, job: DrainJob, stop: Stop, counters: Counters, threads: Threads, stack: ExitStack) -> None:
        spec = job.spec
        self._job = job
        self._stop = stop
        self._counters = counters
        # A handler of a program or an address obeys these times itself, and needs a moment to return its results.
        late, longer = (0.0, 0.0) if job.handler.can_crash else (MARGIN, LAST_SECONDS + MARGIN)
        self._deadline = Deadline(
            spec.deadline.total_seconds() + longer, lambda: (left := stop.left) is not None and left + late <= 0
        )
        stack.callback(self._deadline.close)
        self._attempts = RetryPolicy.starting_at(spec.backoff.total_seconds(), spec.max_attempts)
        self._claims: Claims | None = None
        self._failed: list[KeyValue] = []
        self.marks = Marks(_mark(job.queue))
        if not isinstance(job.leases, RowLocks):
            self._claims = Claims(
                job.database, job.leases, lease=spec.lease.total_seconds(), attempts=spec.max_attempts,
                one_by_one=job.handler.can_crash, failed=job.queue.failed, marked=bool(job.queue.claimed),
                in_order=not job.queue.order,
            )  # fmt: skip
            stack.enter_context(self._claims.heartbeat(threads))
        else:
            self._locks = job.leases
            self._low = QueueLowWaterMark(job.database, job.leases, time.monotonic, followed=not job.queue.order)

    def __call__(self) -> Step:
        job = self._job
        if self._claims is not None:
            return ClaimStep(
                job.queue, self._claims, job.handler, self._attempts, self._deadline, self._counters, self.marks,
                self._stop,
            )  # fmt: skip
        in_transaction = InTransaction(job.database, job.handler, self._deadline, self._stop)
        return RowLockStep(
            job.database, job.queue, self._locks, self._low, in_transaction, self._deadline, self._counters, self.marks,
            self._failed,
        )  # fmt: skip

    def left_alone(self) -> int:
        """Return the number of free rows that this process leaves alone, because they failed."""
        return len(self._failed)

    def leased(self) -> int:
        """Return the number of rows that this process has leased."""
        return self._claims.leased() if self._claims is not None else 0


def _loop_settings(
    job: DrainJob, live: LiveSettings, throttles: tuple[Throttle, ...], step: Step, last: LastLook, due: Due,
    wait: Wait | None,
) -> LoopSettings:  # fmt: skip
    idle = last if job.spec.poll is None else Idle(due, job.spec.poll.total_seconds())
    base = loop_of(job.spec, step, live)
    if isinstance(step, ClaimStep):
        base = replace(base, resting=step.release, leave=step.release)
    return replace(base, throttles=throttles, between=idle.worked, idle=idle.next_sleep, wait=wait)


def _ended(
    job: DrainJob, ending: Ending, stats: RunStats, counters: Counters, counts: Counts | None, stop: Stop
) -> Ending:
    """Return the ending; `incomplete` if rows were given up, or all work failed, even if a limit ended the run."""
    in_vain = not stats.rows and (counters["failed"] or counters["lost"])
    if stats.locked or stats.rejected or in_vain:
        ending = as_incomplete(ending, _shortfall(job, stats, counters, counts))
    if counts and counts.leased and ending.reason in ("done", "incomplete"):
        return Ending("locked", Exit.LOCKED, _owned(job, counts.leased, ending.error))
    return ending if job.spec.poll is None else of_one_that_stays(ending, stop)


def _owned(job: DrainJob, leased: int, failed: Failure | None) -> Failure:
    """Return the failure that names the workers that have leased the remaining rows, and what failed here."""
    holders: list[Holder] = []
    if isinstance(job.leases, ColumnLeases | TableLeases):
        with suppress(BatchopsError), job.database.reading() as connection:
            holders = QueueStatus(job.database, job.queue, job.leases).holders(connection)
    named = ", ".join(f"{one.worker} ({one.rows:,}, for {durations.show(max(one.seconds, 0.0))})" for one in holders)
    message = f"{leased:,} rows are leased to other workers{': ' if named else ''}{named}."
    return Failure(
        "locked",
        f"{message} {failed.message}" if failed else message,
        "use --poll to wait for them; the lease of a worker that has died expires.",
    )


def _shortfall(job: DrainJob, stats: RunStats, counters: Counters, counts: Counts | None) -> Failure:
    """Return the failure that states how many rows are not done, and why."""
    waiting = counts.waiting if counts else 0
    given_up = counters["dead_letters"]
    parts = [
        f"{waiting:,} failed and wait" if waiting else "",
        f"{given_up:,} given up" if given_up else "",
        f"{counters['failed']:,} failed" if counters["failed"] and not waiting and not given_up else "",
        f"{counters['lost']:,} lost their lease before they could be marked" if counters["lost"] else "",
        f"{stats.locked:,} stayed locked by other sessions" if stats.locked else "",
    ]
    causes = shown_causes(counters.causes)
    message = f"{stats.rows:,} of {counters['claimed']:,} done, {', '.join(part for part in parts if part)}"
    redrive = f"once the cause is fixed, put them back: batchops queue redrive {quoted(job.queue.table.label)}"
    return Failure("incomplete", f"{message}: {causes}." if causes else f"{message}.", redrive if given_up else "")


def _next(job: DrainJob) -> str | None:
    """Return the command that continues the drain; None if there is none, or it would show a secret in an address."""
    spec = job.spec
    if job.again:
        return job.again
    if not spec.handlers or (spec.post is not None and any(sign in spec.post for sign in "@?#")):
        return None
    return command(job.plan.verb.command, spec, job.database.address.bare) or None


def _finished(
    job: DrainJob, ending: Ending, stats: RunStats, counters: Counters, counts: Counts | None
) -> Finished:  # fmt: skip
    left = counts.pending if counts else None
    return replace(
        finished(job.plan.verb.name, job.plan.label, CLAIMS, ending, stats),
        participle=job.plan.verb.participle,
        left=left,
        next=_next(job) if left and ending.exit != Exit.INTEGRITY else None,
        drained=_drained(counters, counts),
    )


def _drained(counters: Counters, counts: Counts | None) -> Drained:
    return Drained(
        claimed=counters["claimed"],
        failed=counters["failed"],
        dead_letters=counters["dead_letters"],
        lost=counters["lost"],
        released=counters["released"],
        backlog=counts.backlog if counts else None,
        waiting=counts.waiting if counts else None,
        leased=counts.leased if counts else None,
        oldest_seconds=counts.oldest if counts else None,
        causes=counters.causes,
    )
