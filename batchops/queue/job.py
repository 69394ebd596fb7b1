"""A drain that is planned, run: claims, leases, handler and workers around the loop."""

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace

from batchops import durations
from batchops.db.types import KeyValue
from batchops.errors import BatchopsError, Exit
from batchops.events import Drained, Emit, Failure, Finished, Started, Warned
from batchops.queue.claims import Claims
from batchops.queue.deadline import Deadline
from batchops.queue.handlers.child_process import LAST_SECONDS
from batchops.queue.in_transaction import Inside
from batchops.queue.last_look import LastLook
from batchops.queue.leases.columns import ColumnLeases
from batchops.queue.leases.row_lock import RowLocks
from batchops.queue.leases.table import SideLeases
from batchops.queue.low_water import LowWater
from batchops.queue.mark_check import Marks
from batchops.queue.prepare import PreparedDrain
from batchops.queue.queue import Queue
from batchops.queue.row_lock_step import HeldStep
from batchops.queue.status import Holder, Overview
from batchops.queue.step import ClaimStep
from batchops.runtime.backlog import Watch
from batchops.runtime.backoff import Attempts
from batchops.runtime.counters import Counts, Score
from batchops.runtime.ending import as_incomplete, finished, of_one_that_stays, shown_causes
from batchops.runtime.idle import Due, Idle
from batchops.runtime.lifecycle import Telling, whole_run
from batchops.runtime.limits import Limits
from batchops.runtime.loop import Ending, Job, Step, Tally, ending_of
from batchops.runtime.pacing import Pace
from batchops.runtime.parallel import side_by_side
from batchops.runtime.stop import Stop
from batchops.runtime.threads import Threads
from batchops.runtime.wake import woken
from batchops.spec.command_line import command
from batchops.spec.settings import bounds_of, grace_of, limits_of, pace_of

Wait = Callable[[float], None]
MARGIN = 2.0
"""Seconds after the grace period in which what became of the batch in hand is still written down."""


def drain_prepared(job: PreparedDrain, emit: Emit, stop: Stop) -> Finished:
    """Run what was prepared; every error once the run has begun is told in what is returned."""
    job.database.underway = True
    tally, score = Tally(), Score("claimed", "failed", "dead", "lost", "handed_back")
    watch = Watch(job.database, job.leases, score)

    def work(telling: Telling, stop: Stop) -> Finished:
        table = job.queue.table
        bounds = bounds_of(job.spec)
        telling(Started(None, "drain", table.label, "claims", False, table.rows, job.estimate, **bounds))
        ending = _worked(job, telling, stop, tally, score, watch)
        counts = watch.counts()
        return _finished(job, _ended(job, ending, tally, score, counts, stop), tally, score, counts)

    grace = grace_of(job.spec, job.database, MARGIN)
    return whole_run(emit, stop, work, lambda ending: _finished(job, ending, tally, score, None), grace)


def _worked(
    job: PreparedDrain, telling: Telling, stop: Stop, tally: Tally, score: Score, watch: Watch
) -> Ending:  # fmt: skip
    with ExitStack() as stack:
        stack.enter_context(watch.telling(telling, telling.threads))
        job.handler.open(job.queue.key, lambda text: telling(Warned(text)))
        step = Steps(job, stop, score, telling.threads, stack)
        wait = stack.enter_context(woken(job.database, job.spec.listen, stop, telling.threads, telling))
        pace = replace(pace_of(job.spec, job.queue.table), most_bytes=job.spec.max_bytes)
        limits = limits_of(job.spec)
        workers = 1 if job.database.family.one_writer and job.handler.inside else job.spec.workers
        patience = job.spec.lock_timeout.total_seconds()
        last = LastLook(job.database, job.leases, patience, step.passed_by, step.held)
        due = Due(job.database, job.leases.next_due)
        ending = side_by_side(
            lambda: _job(job, pace, limits, step(), last, due, wait), workers, telling, stop, tally, telling.threads
        )
    tally.locked = last.locked if ending.reason in ("done", "incomplete") else 0
    if step.marks.refusal is not None and ending.exit in (Exit.DONE, Exit.INCOMPLETE):
        return ending_of(step.marks.refusal)  # it may have ended by a limit before it was told
    return ending


def _mark(queue: Queue) -> str:
    """The flags that make a row done."""
    if queue.done is None:
        return "--delete"
    return "--set and --done" if queue.work else "--done"


class Steps:
    """Makes a step for each worker; what they share is made once."""

    def __init__(self, job: PreparedDrain, stop: Stop, score: Score, threads: Threads, stack: ExitStack) -> None:
        spec = job.spec
        self._job = job
        self._stop = stop
        self._score = score
        # A program or an address keeps to these times by itself, and needs a moment to say what became of its rows.
        late, longer = (0.0, 0.0) if job.handler.deadly else (MARGIN, LAST_SECONDS + MARGIN)
        self._deadline = Deadline(
            spec.deadline.total_seconds() + longer, lambda: (left := stop.left) is not None and left + late <= 0
        )
        self._attempts = Attempts(spec.max_attempts, spec.backoff.total_seconds())
        self._claims: Claims | None = None
        self._failed: list[KeyValue] = []
        self.marks = Marks(_mark(job.queue))
        if not isinstance(job.leases, RowLocks):
            self._claims = Claims(
                job.database, job.leases, lease=spec.lease_time.total_seconds(), attempts=spec.max_attempts,
                one_by_one=job.handler.deadly, failed=job.queue.failed, marked=bool(job.queue.claimed),
                in_order=not job.queue.order,
            )  # fmt: skip
            stack.enter_context(self._claims.beating(threads))
        else:
            self._locks = job.leases
            self._low = LowWater(job.database, job.leases, time.monotonic, followed=not job.queue.order)

    def __call__(self) -> Step:
        job = self._job
        if self._claims is not None:
            return ClaimStep(
                job.queue, self._claims, job.handler, self._attempts, self._deadline, self._score, self.marks,
                self._stop,
            )  # fmt: skip
        inside = Inside(job.database, job.handler, self._deadline, self._stop)
        return HeldStep(
            job.database, job.queue, self._locks, self._low, inside, self._deadline, self._score, self.marks,
            self._failed,
        )  # fmt: skip

    def passed_by(self) -> int:
        """Free rows that this process leaves alone."""
        return len(self._failed)

    def held(self) -> int:
        """Rows that this process has leased."""
        return self._claims.held() if self._claims is not None else 0


def _job(
    job: PreparedDrain, pace: Pace, limits: Limits, step: Step, last: LastLook, due: Due, wait: Wait | None
) -> Job:  # fmt: skip
    spec = job.spec
    idle = last if spec.poll is None else Idle(due, spec.poll.total_seconds())
    return Job(
        step=step,
        pace=pace,
        limits=limits,
        rest=spec.rest.total_seconds(),
        patience=spec.retry_time.total_seconds(),
        between=idle.worked,
        idle=idle.rest,
        wait=wait,
    )


def _ended(job: PreparedDrain, ending: Ending, tally: Tally, score: Score, counts: Counts | None, stop: Stop) -> Ending:
    """Incomplete where rows were given up on, or some were worked on and none is done; a limit hides neither."""
    in_vain = not tally.rows and (score["failed"] or score["lost"])
    if tally.locked or tally.rejected or in_vain:
        ending = as_incomplete(ending, _shortfall(job, tally, score, counts))
    if counts and counts.leased and ending.reason in ("done", "incomplete"):
        return Ending("locked", Exit.LOCKED, _owned(job, counts.leased, ending.error))
    return ending if job.spec.poll is None else of_one_that_stays(ending, stop)


def _owned(job: PreparedDrain, leased: int, failed: Failure | None) -> Failure:
    """Who has leased the rows that are not done; and what failed beside."""
    holders: list[Holder] = []
    if isinstance(job.leases, ColumnLeases | SideLeases):
        with suppress(BatchopsError), job.database.reading() as connection:
            holders = Overview(job.database, job.queue, job.leases).holders(connection)
    named = ", ".join(f"{one.worker} ({one.rows:,}, for {durations.show(max(one.seconds, 0.0))})" for one in holders)
    said = f"{leased:,} rows are leased to other workers{': ' if named else ''}{named}."
    return Failure(
        "locked",
        f"{said} {failed.message}" if failed else said,
        "with --poll this one waits for them; a worker that has died loses them once its lease ends.",
    )


def _shortfall(job: PreparedDrain, tally: Tally, score: Score, counts: Counts | None) -> Failure:
    """How many rows are not done, and why."""
    waiting = counts.waiting if counts else 0
    given_up = score["dead"]
    said = [
        f"{waiting:,} failed and wait" if waiting else "",
        f"{given_up:,} given up on" if given_up else "",
        f"{score['failed']:,} failed" if score["failed"] and not waiting and not given_up else "",
        f"{score['lost']:,} lost their lease before they could be marked" if score["lost"] else "",
        f"{tally.locked:,} stayed locked by other sessions" if tally.locked else "",
    ]
    causes = shown_causes(score.causes)
    message = f"{tally.rows:,} of {score['claimed']:,} done, {', '.join(part for part in said if part)}"
    redrive = f"once the cause is mended, put them back: batchops queue redrive {job.queue.table.label}"
    return Failure("incomplete", f"{message}: {causes}." if causes else f"{message}.", redrive if given_up else "")


def _next(job: PreparedDrain) -> str | None:
    """The same command again; None where it would not be one, or would show what an address hides."""
    spec = job.spec
    if job.again:
        return job.again
    if not spec.handlers or (spec.post is not None and any(sign in spec.post for sign in "@?#")):
        return None
    return command("drain", spec, job.database.address.bare) or None


def _finished(
    job: PreparedDrain, ending: Ending, tally: Tally, score: Score, counts: Counts | None
) -> Finished:  # fmt: skip
    left = counts.pending if counts else None
    return replace(
        finished("drain", job.queue.table.label, "claims", ending, tally),
        left=left,
        next=_next(job) if left and ending.exit != Exit.INTEGRITY else None,
        drained=_drained(score, counts),
    )


def _drained(score: Score, counts: Counts | None) -> Drained:
    return Drained(
        claimed=score["claimed"],
        failed=score["failed"],
        dead=score["dead"],
        lost=score["lost"],
        handed_back=score["handed_back"],
        backlog=counts.backlog if counts else None,
        waiting=counts.waiting if counts else None,
        leased=counts.leased if counts else None,
        oldest_seconds=counts.oldest if counts else None,
        causes=score.causes,
    )
