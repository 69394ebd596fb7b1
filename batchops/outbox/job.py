"""A relay that is planned, run: shards, courier, circuit and low-water mark around the loop."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial

from batchops import durations
from batchops.errors import BatchopsError, Exit, LockedError
from batchops.events import Committed, Emit, Failure, Finished, Relayed, Started, Warned
from batchops.outbox.after_delivery import Settling
from batchops.outbox.circuit_breaker import Circuit
from batchops.outbox.delivery import Courier
from batchops.outbox.failure_policy import Policy
from batchops.outbox.failures import Failures
from batchops.outbox.low_water import LowWater
from batchops.outbox.mapping import Composer
from batchops.outbox.prepare import PreparedRelay, shown
from batchops.outbox.relay_registry import Registry
from batchops.outbox.shards import Shards
from batchops.outbox.source import Source
from batchops.outbox.status import Standing
from batchops.outbox.step import Begin, RelayStep
from batchops.runtime.backlog import Watch
from batchops.runtime.backoff import Attempts
from batchops.runtime.counters import Counts, Score
from batchops.runtime.ending import as_incomplete, finished, of_one_that_stays, shown_causes
from batchops.runtime.idle import Due, Idle
from batchops.runtime.lifecycle import Telling, whole_run
from batchops.runtime.loop import Ending, Job, Tally, run
from batchops.runtime.pacing import Pace
from batchops.runtime.stop import Stop
from batchops.runtime.wake import woken
from batchops.spec.command_line import command
from batchops.spec.settings import bounds_of, grace_of, limits_of


def relay_prepared(job: PreparedRelay, emit: Emit, stop: Stop) -> Finished:
    """Run what was prepared; every error once the run has begun is told in what is returned."""
    job.beside.make()
    job.database.underway = True
    tally, score = Tally(), Score("failed", "unsent", "parked", "dead")

    def work(telling: Telling, stop: Stop) -> Finished:
        with ExitStack() as stack:
            relay = Relay(job, telling, stop, tally, score, stack)
            table = job.outbox.table
            backlog, bounds = relay.backlog(), bounds_of(job.spec)
            telling(Started(None, "relay", table.label, "outbox", False, table.rows, backlog, counted=True, **bounds))
            stack.enter_context(relay.watch.telling(telling, telling.threads))
            ending = run(relay.job(stack), telling, stop, tally)
            relay.finish()
        counts = relay.watch.counts()
        ending = _ended(job, ending, relay.shortfall(tally, score), stop)
        if stop.reason == "locked":
            ending = relay.lost(ending)
        return _finished(job, ending, tally, score, counts)

    grace = grace_of(job.spec, job.database)
    return whole_run(emit, stop, work, lambda ending: _finished(job, ending, tally, score, None), grace)


class Relay:
    """What a running relay is made of."""

    def __init__(
        self, job: PreparedRelay, telling: Telling, stop: Stop, tally: Tally, score: Score, stack: ExitStack
    ) -> None:  # fmt: skip
        spec, database, outbox = job.spec, job.database, job.outbox
        self._spec = spec
        self._database = database
        self._telling = telling
        self._stop = stop
        self._tally = tally
        self._failures = Failures(database, job.beside.failed, outbox)
        label = outbox.table.label
        self._shards = Shards(
            database, Registry(database, job.beside.relays, job.beside.shards, label), label, spec.slots,
            spec.lease_time.total_seconds(), stays=spec.poll is not None,
        )  # fmt: skip
        self._standing = Standing(outbox, self._failures)
        self.watch = Watch(database, self._standing, score)
        patience = None if spec.poll is not None else spec.retry_time.total_seconds()
        self._circuit = Circuit(patience, warn=lambda text: telling(Warned(text)))
        courier = Courier(job.sink, lambda: stop.at_once, telling, telling.threads)
        stack.callback(courier.close)
        stack.enter_context(self._shards.beating(telling.threads, lambda: stop.ask("locked")))
        self._source = Source(
            database, outbox, Composer(outbox, job.form), self._shards, self._failures,
            LowWater(database, outbox, self._failures), thorough=spec.poll is None, max_bytes=spec.max_bytes,
        )  # fmt: skip
        self._step = RelayStep(
            self._source, courier, Settling(database, outbox, self._shards, self._failures, job.then), self._failures,
            Policy(spec.on_failed, Attempts(spec.max_attempts, spec.backoff.total_seconds())), self._circuit,
            self._shards, score, ahead=self._ahead, begin=self._begin(stack),
        )  # fmt: skip

    def _begin(self, stack: ExitStack) -> Begin:
        if self._database.family.one_writer:
            return lambda work: work
        pool = stack.enter_context(ThreadPoolExecutor(1, "batchops-read"))
        return lambda work: pool.submit(work).result

    def backlog(self) -> int | None:
        """What is to be sent, counted once at the beginning."""
        counts = self.watch.counts()
        return counts.backlog if counts else None

    def job(self, stack: ExitStack) -> Job:
        """The loop's."""
        spec, telling = self._spec, self._telling
        due = Due(self._database, self._failures.next_due)
        idle = None if spec.poll is None else Idle(due, spec.poll.total_seconds())
        return Job(
            step=self._step,
            pace=Pace(target=spec.target_time.total_seconds(), fixed=spec.batch_size),
            limits=limits_of(spec),
            rest=spec.rest.total_seconds(),
            patience=spec.retry_time.total_seconds(),
            hold=self._hold,
            between=idle.worked if idle else lambda: None,
            idle=partial(self._idle, idle) if idle else self._last_look,
            wait=stack.enter_context(woken(self._database, spec.listen, self._stop, telling.threads, telling)),
        )

    def shortfall(self, tally: Tally, score: Score) -> Failure | None:
        """What was refused or did not go through, and how to go on; None where all went well."""
        if self._failures.holding or tally.rejected or (score["failed"] and not tally.rows):
            return self._refusal() or Failure("incomplete", f"Events were refused: {shown_causes(score.causes)}.")
        if not tally.rows and self._circuit.down is not None:
            down = self._circuit.down.rstrip(".")
            return Failure("incomplete", f"Nothing was delivered; the destination is down: {down}.")
        return None

    def lost(self, ending: Ending) -> Ending:
        """The ending of a relay whose heartbeat found that another one has taken over."""
        error = self._shards.taken_over()
        return replace(ending, error=Failure(error.reason, error.message, error.hint))

    def _refusal(self) -> Failure | None:
        with suppress(BatchopsError), self._database.reading() as connection:
            return self._standing.refusal(connection)
        return None

    def finish(self) -> None:
        """Mark what is still with the destination, and say so."""
        with suppress(BatchopsError):
            outcome = self._step.finish()
            if outcome is not None and not outcome.empty:
                self._tally.rows += outcome.rows
                self._tally.read += outcome.read
                self._tally.batches += 1
                self._tally.rejected.add(outcome.rejected)
                self._telling(Committed(outcome.rows, outcome.read, 0.0, outcome.read))

    def _ahead(self) -> bool:
        return not self._stop.asked and self._spec.max_rows is None and self._spec.max_batches is None

    def _hold(self) -> tuple[str, float] | None:
        wait = self._shards.due()
        if wait > 0 and not self._shards.mine and self._spec.poll is not None:
            return "every shard has another relay at work", wait
        return self._circuit.hold()

    def _idle(self, idle: Idle) -> float:
        """Seconds until a look is worth it, for a relay that stays up."""
        return min(idle.rest(), max(self._shards.due(), 0.02)) if self._shards.mine else 0.0

    def _last_look(self) -> float | None:
        """None once nothing is left; LockedError where what is left is in the hands of other relays."""
        self._shards.look()
        if self._shards.changing:
            return 0.0
        if not self._shards.mine:
            raise self._owned("Every shard of", "has another relay at work")
        if self._source.elsewhere():
            raise self._owned("Undelivered events of", "are in the hands of another relay")
        return None

    def _owned(self, what: str, by_whom: str) -> LockedError:
        others = self._shards.others
        named = "; ".join(one.named for one in others)
        left = max((one.left for one in others), default=0.0)
        return LockedError(
            f'{what} "{self._spec.table}" {by_whom}: {named}.',
            f"with --poll this one waits for them; if that process has died, its lease ends in {durations.show(left)}.",
        )


def _ended(job: PreparedRelay, ending: Ending, shortfall: Failure | None, stop: Stop) -> Ending:
    """Incomplete where events were refused, or some were sent off and none went through; a limit hides neither."""
    ending = ending if shortfall is None else as_incomplete(ending, shortfall)
    return ending if job.spec.poll is None else of_one_that_stays(ending, stop)


def _finished(job: PreparedRelay, ending: Ending, tally: Tally, score: Score, counts: Counts | None) -> Finished:
    left = counts.pending if counts else None
    goes_on = left and ending.exit not in (Exit.INTEGRITY, Exit.REFUSED, Exit.USAGE)
    return replace(
        finished("relay", job.outbox.table.label, "outbox", ending, tally),
        left=left,
        next=_next(job) if goes_on else None,
        relayed=Relayed(
            failed=score["failed"],
            unsent=score["unsent"],
            parked=score["parked"],
            dead=score["dead"],
            backlog=counts.backlog if counts else None,
            waiting=counts.waiting if counts else None,
            oldest_seconds=counts.oldest if counts else None,
            causes=score.causes,
        ),
    )


def _next(job: PreparedRelay) -> str | None:
    """The same command again; None where it would show what an address hides."""
    if job.again:
        return job.again
    if shown(job.spec.to) != job.spec.to:
        return None
    return command("relay", job.spec, job.database.address.bare)
