"""Job, and run(): the loop that every verb shares."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from tenacity import RetryCallState

from batchops.errors import BatchopsError, Exit, LockTimeoutError, TimedOutError, TransientError
from batchops.events import IDLE, REST, Committed, Emit, Failure, Held, Retried, Warned
from batchops.runtime.batch_size import Size
from batchops.runtime.counters import Rejections
from batchops.runtime.limits import Limits, refused_too_often, within
from batchops.runtime.outcome import Outcome
from batchops.runtime.pacing import Pace
from batchops.runtime.retry import patiently
from batchops.runtime.stop import Stop
from batchops.runtime.threads import described

Step = Callable[[Size], Outcome | None]
"""One batch of that size, committed when it returns; None once nothing is left."""
Clock = Callable[[], float]

TURNED = "turned"
"""The reason of an ending that is none yet: the walk is to be changed."""
SKIP_AFTER = 2
"""Lock timeouts in a row after which a batch leaves the locked rows for later."""
PATIENCE = 120.0
"""Seconds that one batch is tried again after passing errors."""


@dataclass(frozen=True)
class Job:
    """What run() needs to know of a job, whatever its verb."""

    step: Step
    pace: Pace = field(default_factory=Pace)
    limits: Limits = field(default_factory=Limits)
    rest: float = 0.0
    patience: float = PATIENCE
    turned: threading.Event = field(default_factory=threading.Event)
    """Set once a step has said that the walk should not go on like this; all lanes end then."""
    between: Callable[[], None] = lambda: None
    """Called between batches, outside any transaction."""
    hold: Callable[[], tuple[str, float] | None] = lambda: None
    """Asked before each batch: why to wait, and for how many seconds; None to go on."""
    idle: Callable[[], float | None] = lambda: None
    """Asked when nothing is left: seconds until a look is worth it again; None: the run is over."""
    leave: Callable[[], None] = lambda: None
    """Called once the loop is over, however it ended."""
    wait: Callable[[float], None] | None = None
    """How to rest while idle, where something may wake it; None: until asked to stop."""


@dataclass
class Tally:
    """What this process has done so far, all lanes together."""

    rows: int = 0
    read: int = 0
    batches: int = 0
    retries: int = 0
    locked: int = 0
    rejected: Rejections = field(default_factory=Rejections)
    seconds: float = 0.0
    held_seconds: float = 0.0
    guard: threading.Lock = field(default_factory=threading.Lock, repr=False)


@dataclass(frozen=True)
class Ending:
    """How a run ended: its reason, its exit code, and the error if it was one."""

    reason: str
    exit: int
    error: Failure | None = None


def ending_of(error: BaseException) -> Ending:
    """How a run ends that an error ends, whatever its kind."""
    if isinstance(error, BatchopsError):
        return Ending(error.reason, error.exit, Failure(error.reason, error.message, error.hint))
    if isinstance(error, KeyboardInterrupt):
        return Ending("signal", Exit.INTERRUPT)
    hint = "this is a bug; BATCHOPS_DEBUG=1 shows where."
    return Ending("failed", Exit.FAILED, Failure("failed", described(error), hint))


def run(job: Job, emit: Emit, stop: Stop, tally: Tally, clock: Clock = time.monotonic) -> Ending:
    """Work until nothing is left or there is a reason to stop; every way out gives its reason."""
    begun = clock() - tally.seconds
    try:
        if (opens := job.limits.closed()) is not None:
            _wait_for_window(job, emit, stop, tally, clock, opens)
        while True:
            tally.seconds = clock() - begun
            if stop.asked:
                return _stopped(stop)
            if reason := job.limits.reached(tally.seconds):
                return Ending(reason, Exit.DONE)
            if (held := job.hold()) is not None:
                _hold(emit, tally, *held, stop.sleep, clock)
                continue
            done = _batch(job, emit, stop, tally, clock)
            if isinstance(done, Ending):
                return done
            if done is None:
                pause = patiently(job.patience, job.idle, given_up=lambda: stop.asked, sleep=stop.sleep, clock=clock)
                if pause is None:
                    return _stopped(stop) if stop.asked else _finished(tally)
                if pause:
                    _hold(emit, tally, IDLE, pause, job.wait or stop.sleep, clock)
                continue
            if refused_too_often(job.limits, len(tally.rejected), tally.rows):
                return _refused_too_often(tally)
            if done.alarm and not job.turned.is_set():
                job.turned.set()
                emit(Warned(done.alarm))
            if job.turned.is_set():
                return Ending(TURNED, Exit.DONE)
            job.between()
            if job.rest and not stop.asked:
                _hold(emit, tally, REST, job.rest, stop.sleep, clock)
    except BatchopsError as error:
        if stop.asked and isinstance(error, TransientError):
            return _stopped(stop)
        return ending_of(error)
    finally:
        tally.seconds = clock() - begun


def _wait_for_window(
    job: Job, emit: Emit, stop: Stop, tally: Tally, clock: Clock, opens: datetime
) -> None:  # fmt: skip
    """Say when it opens; and wait for that, where this is asked for."""
    emit(Warned(f"--window is closed now; it opens at {opens:%Y-%m-%d %H:%M}{'' if job.limits.wait else ' (--wait)'}."))
    while job.limits.wait and not stop.asked and job.limits.closed() is not None:
        seconds = (opens - job.limits.wall()).total_seconds()
        _hold(emit, tally, "window", max(0.1, min(60.0, seconds)), stop.sleep, clock)


def _batch(job: Job, emit: Emit, stop: Stop, tally: Tally, clock: Clock) -> Outcome | Ending | None:
    """One batch, if it may still be done; None: nothing is left."""
    batches = job.limits.batches
    if batches is not None and not batches.draw(1):
        return Ending("max-batches", Exit.DONE)
    used = 1
    try:
        done = _bounded(job, emit, stop, tally, clock)
        used = done.batches if isinstance(done, Outcome) else 0
        return done
    finally:
        if batches is not None:
            batches.settle(1, used)


def _bounded(job: Job, emit: Emit, stop: Stop, tally: Tally, clock: Clock) -> Outcome | Ending | None:
    """One batch of no more rows than may still be changed, asked for again after passing errors."""
    allowance = job.limits.rows
    # Drawn once for all attempts: one of them may turn out to have been applied after all.
    drawn = allowance.draw(2 * job.pace.size().rows) if allowance else None
    if drawn == 0:
        return Ending("max-rows", Exit.DONE)
    attempt = _Attempts(job, emit, stop, tally, clock, drawn)
    used = drawn or 0  # after an error the last attempt may have been applied after all
    try:
        outcome = patiently(
            job.patience, attempt, given_up=lambda: stop.asked, note=attempt.failed, sleep=stop.sleep, clock=clock
        )
        used = outcome.rows if outcome else 0
        return outcome
    finally:
        if allowance and drawn is not None:
            allowance.settle(drawn, used)


@dataclass
class _Attempts:
    """The attempts at one batch: smaller, later, at last without the locked rows."""

    job: Job
    emit: Emit
    stop: Stop
    tally: Tally
    clock: Clock
    drawn: int | None
    lock_timeouts: int = 0

    def __call__(self) -> Outcome | None:
        while True:
            size = self.job.pace.size(self.lock_timeouts >= SKIP_AFTER)
            size = size if self.drawn is None else within(size, self.drawn)
            before = self.clock()
            try:
                outcome = self.job.step(size)
            except TimedOutError as error:
                # Halving may take longer than patience lasts, but comes to an end of its own.
                if size.rows == 1 or self.stop.asked:
                    raise
                _shrink(self.job, self.tally)
                self.emit(Retried(error.message, 1, 0.0))
                continue
            if outcome is not None and not outcome.empty:
                _account(self.job, self.emit, self.tally, size, outcome, self.clock() - before)
            return outcome

    def failed(self, state: RetryCallState) -> None:
        """Remember and say it, before the pause."""
        error = state.outcome.exception() if state.outcome else None
        self.lock_timeouts += isinstance(error, LockTimeoutError)
        pause = state.next_action.sleep if state.next_action else 0.0
        _shrink(self.job, self.tally)
        message = error.message if isinstance(error, BatchopsError) else str(error)
        self.emit(Retried(message, state.attempt_number, pause))


def _shrink(job: Job, tally: Tally) -> None:
    with tally.guard:
        tally.retries += 1
        job.pace.shrink()


def _account(job: Job, emit: Emit, tally: Tally, size: Size, outcome: Outcome, seconds: float) -> None:
    with tally.guard:
        tally.rows += outcome.rows
        tally.read += outcome.read
        tally.batches += outcome.batches
        tally.locked += outcome.locked
        tally.rejected.add(outcome.rejected)
        if not outcome.undone and not outcome.trial:
            tried = outcome.rows + outcome.refused
            job.pace.observe(outcome.size or size, tried, outcome.read, seconds - outcome.sifting)
    if outcome.undone:
        lost = f"{outcome.undone} batches with {-outcome.rows:,} rows"
        emit(Warned(f"The server fell before {lost} were on its disk; they are as they were, and done again."))
        return
    for rejected in outcome.rejected:
        emit(rejected)
    emit(Committed(outcome.rows, outcome.read, seconds, (outcome.size or size).rows, outcome.lane, outcome.pass_number))


def _hold(
    emit: Emit, tally: Tally, reason: str, seconds: float, wait: Callable[[float], None], clock: Clock
) -> None:  # fmt: skip
    emit(Held(reason, seconds))
    before = clock()
    wait(seconds)
    with tally.guard:
        tally.held_seconds += clock() - before


def _finished(tally: Tally) -> Ending:
    if tally.locked or tally.rejected:
        return Ending("incomplete", Exit.INCOMPLETE)
    return Ending("done", Exit.DONE)


def _refused_too_often(tally: Tally) -> Ending:
    refused, tried = len(tally.rejected), len(tally.rejected) + tally.rows
    message = f"The database refused {refused:,} of {tried:,} rows."
    hint = "mend the cause and run it again: it goes on, and tries these rows too; --max-rejected N allows more."
    return Ending("max-rejected", Exit.INCOMPLETE, Failure("max-rejected", message, hint))


def _stopped(stop: Stop) -> Ending:
    if stop.error is not None:
        return ending_of(stop.error)
    reason = stop.reason or "stopped"
    if reason == "locked":
        message = "Another process has taken this run over; this one wrote nothing more."
        return Ending("locked", Exit.LOCKED, Failure("locked", message, "see `batchops runs`."))
    if reason == "max-rejected":
        return Ending(reason, Exit.INCOMPLETE)
    if reason == "busy":
        message = "It is unknown whether a range was handed from one lane to another."
        return Ending("busy", Exit.BUSY, Failure("busy", message, "run the same command again: the ledger knows."))
    return Ending(reason, 128 + stop.signal if stop.signal else Exit.DONE)
