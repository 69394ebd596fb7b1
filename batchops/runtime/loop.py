"""LoopSettings and run(): the loop that every verb shares."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from batchops.errors import BatchopsError, Exit, LimitReachedError, LockTimeoutError, TimedOutError, TransientError
from batchops.events import IDLE, PAUSE, SLEEP, Committed, Emit, Retried, Throttled, ThrottleReason, Warned
from batchops.runtime.batch_size import Size
from batchops.runtime.counters import RejectedRows
from batchops.runtime.ending import Ending, ending_of, rejected_too_often, stopped, worked_off
from batchops.runtime.limits import Acquired, Limits, refused_too_often
from batchops.runtime.live_settings import Sleep
from batchops.runtime.outcome import Outcome
from batchops.runtime.pacing import Pacing
from batchops.runtime.rate import RateLimit
from batchops.runtime.retry import retrying
from batchops.runtime.stop import Stop
from batchops.runtime.throttle_totals import ThrottleTotals

Step = Callable[[Size], Outcome | None]
"""Does one batch of that size, which is committed when it returns; returns None once nothing is left."""
Throttle = Callable[[], ThrottleReason | None]
"""Called before each batch, by several workers at once: returns why to wait, or None. Its errors end the run."""
Clock = Callable[[], float]

REPLAN = "replan"
"""The reason of an ending after which the run replans and continues."""
SURPLUS = "surplus"
"""The reason of a worker's ending when the run is to have fewer workers."""
RETRY_TIMEOUT = 120.0
"""Seconds for which one batch is retried after temporary errors."""


@dataclass(frozen=True)
class LoopSettings:
    """What run() needs from a job of any verb."""

    step: Step
    pacing: Pacing = field(default_factory=Pacing)
    limits: Limits = field(default_factory=Limits)
    sleep: Sleep = field(default_factory=Sleep)
    nice: float = 0.0
    """A further sleep after each batch, as a multiple of the time that the batch took."""
    rate: RateLimit | None = None
    retry_timeout: float = RETRY_TIMEOUT
    replan: threading.Event = field(default_factory=threading.Event)
    """Set once a step has asked to replan; then all workers end."""
    between: Callable[[], None] = lambda: None
    """Called between batches, outside any transaction."""
    throttles: tuple[Throttle, ...] = ()
    """The loop waits for the longest time that any of them asks for, and then asks all of them again."""
    idle: Callable[[], float | None] = lambda: None
    """Called when nothing is left: returns the seconds until the next look; None: the run is over."""
    surplus: Callable[[], bool] = lambda: False
    """Called before each batch: returns whether this worker is one too many by now."""
    resting: Callable[[], None] = lambda: None
    """Called before a throttle's wait, to give up what was prepared for a batch that was to follow at once."""
    leave: Callable[[], None] = lambda: None
    """Called once the loop has ended, for whatever reason."""
    wait: Callable[[float], None] | None = None
    """Sleeps while idle, where a notification may end the sleep; None: only a stop ends it."""


@dataclass
class RunStats:
    """The durable work of all workers of this process so far; a verb's Counters count attempts."""

    rows: int = 0
    read: int = 0
    batches: int = 0
    retries: int = 0
    locked: int = 0
    rejected: RejectedRows = field(default_factory=RejectedRows)
    seconds: float = 0.0
    throttled_seconds: float = 0.0
    batch_rows: int = 0
    """The rows that the last batch aimed to change."""
    batch_seconds: float = 0.0
    """The seconds that the last batch took."""
    waiting: str = ""
    """Why a worker waits now; empty while the workers work, or sleep for --sleep."""
    slowest_batch: float = 0.0
    tables: Counter[str] = field(default_factory=Counter)
    """Rows changed by table in a purge with children; `rows` counts its parents alone."""
    throttled_by: ThrottleTotals = field(default_factory=ThrottleTotals)
    guard: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def changed(self) -> int:
        """The rows changed in all tables."""
        return self.tables.total() if self.tables else self.rows


def run(job: LoopSettings, emit: Emit, stop: Stop, stats: RunStats, clock: Clock = time.monotonic) -> Ending:
    """Do batches until nothing is left or there is a reason to stop; return the ending, with its reason."""
    begun, last = clock() - stats.seconds, False
    try:
        if (opens := job.limits.closed()) is not None:
            _wait_for_window(job, emit, stop, stats, clock, opens)
        while True:
            stats.seconds = clock() - begun
            if stop.asked:
                return stopped(stop)
            if reason := job.limits.reached(stats.seconds):
                return Ending(reason, Exit.DONE)
            if job.surplus():
                return Ending(SURPLUS, Exit.DONE)
            if not last and (reasons := _reasons(job, stats)):
                job.resting()
                _wait(emit, stats, _combined(reasons), stop.sleep, clock)
                continue
            before = clock()
            done = _batch(job, emit, stop, stats, clock)
            took = clock() - before
            if isinstance(done, Ending):
                return done
            last = done is not None and done.last
            if done is None:
                idle = retrying(job.retry_timeout, job.idle, stopped=lambda: stop.asked, sleep=stop.sleep, clock=clock)
                if idle is None:
                    return stopped(stop) if stop.asked else worked_off(stats)
                if idle:
                    _wait(emit, stats, Throttled(IDLE, idle), job.wait or stop.sleep, clock)
                continue
            if refused_too_often(job.limits, stats.rejected.refused, stats.rows):
                return rejected_too_often(stats)
            if done.replan and not job.replan.is_set():
                job.replan.set()
                emit(Warned(done.replan))
            if job.replan.is_set():
                return Ending(REPLAN, Exit.DONE)
            job.between()
            pause = 0.0 if last or job.limits.spent else job.sleep.seconds + job.nice * took
            if pause and not stop.asked:
                _wait(emit, stats, Throttled(SLEEP, pause), stop.sleep, clock)
    except LimitReachedError as limit:
        return Ending(limit.reason, Exit.DONE)
    except BatchopsError as error:
        if stop.asked and isinstance(error, TransientError):
            return stopped(stop)
        return ending_of(error)
    finally:
        stats.seconds = clock() - begun


def _reasons(job: LoopSettings, stats: RunStats) -> tuple[ThrottleReason, ...]:
    """Return the reasons of throttles and of the rate limit to wait before the next batch."""
    asked = [throttle() for throttle in job.throttles]
    asked += [job.rate(stats.changed)] if job.rate is not None else []
    return tuple(reason for reason in asked if reason is not None)


def _follows(job: LoopSettings, acquired: Acquired) -> bool:
    """Whether the next batch will follow at once, as far as is known now."""
    limited = acquired.rows is not None or job.limits.batches is not None
    return not (limited or job.sleep.seconds or job.nice or job.rate is not None)


def _paused(job: LoopSettings) -> bool:
    """Whether somebody has paused the run."""
    asked = (throttle() for throttle in job.throttles)
    return any(reason is not None and reason.throttle == PAUSE for reason in asked)


def _wait_for_window(
    job: LoopSettings, emit: Emit, stop: Stop, stats: RunStats, clock: Clock, opens: datetime
) -> None:  # fmt: skip
    """Warn when the window opens; then wait for that if --wait asks for it."""
    emit(Warned(f"--window is closed now; it opens at {opens:%Y-%m-%d %H:%M}{'' if job.limits.wait else ' (--wait)'}."))
    while job.limits.wait and not stop.asked and job.limits.closed() is not None:
        seconds = (opens - job.limits.wall()).total_seconds()
        _wait(emit, stats, Throttled("window", max(0.1, min(60.0, seconds))), stop.sleep, clock)


def _batch(job: LoopSettings, emit: Emit, stop: Stop, stats: RunStats, clock: Clock) -> Outcome | Ending | None:
    """Do one batch if the limit on batches allows it; return None if nothing is left."""
    batches = job.limits.batches
    if batches is not None and not batches.acquire(1):
        return Ending("max-batches", Exit.DONE)
    used = 1
    try:
        done = _bounded(job, emit, stop, stats, clock)
        if isinstance(done, Outcome) and done.larger:
            done = _bounded(job, emit, stop, stats, clock, larger=True)
        used = done.batches if isinstance(done, Outcome) else 0
        return done
    finally:
        if batches is not None:
            batches.release(1, used)


def _bounded(
    job: LoopSettings, emit: Emit, stop: Stop, stats: RunStats, clock: Clock, *, larger: bool = False
) -> Outcome | Ending | None:
    """Do one batch of no more rows than the limits leave, and retry it after temporary errors."""
    # Acquired once for all attempts: one of them may turn out to have been applied after all.
    acquired = job.limits.acquire(2 * job.pacing.size(larger=larger).rows)
    rows = total = None if acquired.reason is None else 0  # None: perhaps all of them, as after an error
    attempt = _Attempts(job, emit, stop, stats, clock, acquired, larger)
    try:
        if acquired.reason is not None:
            return Ending(acquired.reason, Exit.DONE)
        outcome = retrying(
            job.retry_timeout, attempt, stopped=lambda: stop.asked, at_once=attempt.at_once, on_retry=attempt.failed,
            sleep=stop.sleep, clock=clock,
        )  # fmt: skip
        rows, total = (outcome.rows, outcome.changed) if outcome else (0, 0)
        return outcome
    finally:
        job.limits.release(acquired, rows, total)


@dataclass
class _Attempts:
    """The attempts at one batch: each is smaller and later, and in the end locked rows are skipped."""

    job: LoopSettings
    emit: Emit
    stop: Stop
    stats: RunStats
    clock: Clock
    acquired: Acquired
    larger: bool
    rows: int = 0
    """The rows that the last attempt aimed to change."""
    skip_locked: bool = False
    """Whether waiting for locked rows timed out, so that the batch leaves them for later."""
    failures: int = 0

    def __call__(self) -> Outcome | None:
        if self.failures and _paused(self.job):
            return Outcome(0, 0)  # the run waits until it is resumed, and then tries the batch again
        size = self.acquired.within(self.job.pacing.size(self.skip_locked, larger=self.larger))
        size = replace(size, follows=_follows(self.job, self.acquired))
        self.rows, before = size.rows, self.clock()
        outcome = self.job.step(size)
        if outcome is not None and not outcome.empty:
            _account(self.job, self.emit, self.stats, size, outcome, self.clock() - before)
        return outcome

    def at_once(self, error: TransientError) -> bool:
        """Whether to try again at once with half the rows; that may outlast the retry timeout, but ends at one row."""
        return isinstance(error, TimedOutError) and self.rows > 1 and not (self.larger or self.stop.asked)

    def failed(self, error: TransientError, attempts: int, pause: float) -> None:
        """Count the failure, adapt the next attempt, and emit Retried, before the pause."""
        self.failures = attempts
        locked, before = isinstance(error, LockTimeoutError), self.skip_locked
        self.skip_locked |= locked
        with self.stats.guard:
            self.stats.retries += 1
            if before or not locked:
                self.job.pacing.shrink()
        self.emit(Retried(error.message, attempts, pause))


def _account(job: LoopSettings, emit: Emit, stats: RunStats, size: Size, outcome: Outcome, seconds: float) -> None:
    size = outcome.size or size
    with stats.guard:
        stats.rows += outcome.rows
        stats.tables.update(outcome.tables)
        stats.read += outcome.read
        stats.batches += outcome.batches
        stats.batch_rows, stats.batch_seconds = size.rows, seconds
        stats.slowest_batch = max(stats.slowest_batch, seconds)
        stats.locked += outcome.locked
        stats.rejected.add(outcome.rejected)
        if not (outcome.undone or outcome.trial or size.larger):
            tried = outcome.changed + outcome.refused
            job.pacing.observe(size, tried, outcome.read, seconds - outcome.extra_seconds)
    if outcome.undone:
        lost = f"{outcome.undone} batches with {-outcome.rows:,} rows"
        emit(Warned(f"The server crashed before {lost} were on its disk; the run does them again."))
        return
    for rejected in outcome.rejected:
        emit(rejected)
    done = (outcome.rows, outcome.read, seconds, size.rows, outcome.worker, outcome.pass_number, outcome.tables)
    emit(Committed(*done))


def _combined(reasons: tuple[ThrottleReason, ...]) -> Throttled:
    return Throttled("; ".join(one.reason for one in reasons), max(one.seconds for one in reasons), reasons)


def _wait(emit: Emit, stats: RunStats, why: Throttled, wait: Callable[[float], None], clock: Clock) -> None:
    emit(why)
    before = clock()
    stats.waiting = "" if why.reason == SLEEP else why.reason
    wait(why.seconds)
    with stats.guard:
        stats.waiting = ""
        waited = clock() - before
        stats.throttled_seconds += waited
        stats.throttled_by.add(why.reasons, waited)
