"""A relay on one database: the shards, delivery worker, circuit breaker and low-water mark around the loop."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial

from batchops import durations
from batchops.db.database import Database
from batchops.errors import BatchopsError, Exit, LockedError
from batchops.events import Committed, Emit, Failure, Finished, Started, ThrottleReason, UsualReason, Warned
from batchops.finished_details import Relayed
from batchops.ledger.ledger import Ledger
from batchops.outbox.after_delivery import AfterDelivery, DeliveryRecorder
from batchops.outbox.circuit_breaker import CircuitBreaker
from batchops.outbox.delivery import DeliveryWorker
from batchops.outbox.failures import FailurePolicy, RefusedEvents
from batchops.outbox.low_water import OutboxLowWaterMark
from batchops.outbox.mapping import MessageMapper, MessageMapping
from batchops.outbox.outbox import Outbox
from batchops.outbox.relay_registry import Registry
from batchops.outbox.shards import Shards
from batchops.outbox.sinks import Sink
from batchops.outbox.sinks.address import without_secrets
from batchops.outbox.source import EventSource
from batchops.outbox.spec import RelaySpec
from batchops.outbox.status import OutboxStatus
from batchops.outbox.step import Begin, RelayStep
from batchops.outbox.tables import OutboxTables
from batchops.runtime.backlog import BacklogMonitor
from batchops.runtime.backoff import RetryPolicy
from batchops.runtime.causes import shown_causes
from batchops.runtime.counters import Counters, Counts
from batchops.runtime.ending import Ending, as_incomplete, finished, of_one_that_stays
from batchops.runtime.idle import Due, Idle
from batchops.runtime.lifecycle import EventEmitter, whole_run
from batchops.runtime.live_settings import LiveSettings
from batchops.runtime.loop import LoopSettings, RunStats, Throttle, run
from batchops.runtime.pacing import Pacing
from batchops.runtime.run_record import RunFacts, RunRecord, run_record
from batchops.runtime.stop import Stop
from batchops.runtime.wake import woken
from batchops.spec.command_line import command
from batchops.spec.loop_throttles import loop_throttles
from batchops.spec.settings import bounds_of, grace_of, live_of, loop_of
from batchops.spec.verb import FactsPlan, kept_plan
from batchops.throttles.chosen import ChosenThrottle
from batchops.version import __version__

ORDER = "outbox"
"""The strategy that a relay reports: events are read in the outbox's order."""


@dataclass(frozen=True)
class RelayJob:
    """A relay prepared on one database."""

    spec: RelaySpec
    database: Database
    sink: Sink
    outbox: Outbox
    mapping: MessageMapping
    after_delivery: AfterDelivery
    tables: OutboxTables
    plan: FactsPlan
    again: str = ""
    """The command that continues the relay, if not the verb's own."""
    ledger: Ledger | None = None
    """The ledger that records the run; None without one."""
    recipe_job: str = ""
    watched: tuple[ChosenThrottle, ...] = ()
    """The throttles that the flags name."""

    def run(self, emit: Emit, stop: Stop) -> Finished:
        """Run the relay. An error before it begins is raised; a later one is in what this returns."""
        self.tables.make()
        self.database.underway = True
        stats, counters = RunStats(), Counters("failed", "unsent", "held", "dead_letters")

        def work(emitter: EventEmitter, stop: Stop) -> Finished:
            with ExitStack() as record_of:  # outlives the relay: the row counts what the relay marks last
                return relayed(record_of, emitter, stop)

        def relayed(record_of: ExitStack, emitter: EventEmitter, stop: Stop) -> Finished:
            pacing = Pacing(target=self.spec.target_time.total_seconds(), fixed=self.spec.batch_size)
            live = live_of(self.spec, pacing, several=False)
            with ExitStack() as stack:
                relay = Relay(self, live, emitter, stop, stats, counters, stack)
                begun = partial(_begun, self, emitter, relay.backlog())
                row = run_record(self.ledger, _facts(self), live, stats, stop, emitter, begun)
                record = record_of.enter_context(row)
                stack.enter_context(relay.backlog_monitor.emitting(emitter, emitter.threads))
                of = self.database, self.outbox.table, live, emitter, stats
                throttles = stack.enter_context(loop_throttles(self.spec, self.plan, self.watched, *of))
                ending = run(relay.loop_settings(record, throttles, stack), emitter, stop, stats)
                relay.finish()
            counts = relay.backlog_monitor.counts()
            ending = _ended(self, ending, relay.shortfall(stats, counters), stop)
            if stop.reason == "locked":
                ending = relay.lost(ending)
            return record.ended(_finished(self, ending, stats, counters, counts))

        grace = grace_of(self.spec, self.database)
        return whole_run(emit, stop, work, lambda ending: _finished(self, ending, stats, counters, None), grace)

    def not_run(self, reason: str) -> Finished:
        """Return the end of a job that is not run."""
        return Finished(self.plan.verb.name, self.plan.label, reason, 0, __version__, strategy=ORDER)


def _begun(job: RelayJob, emitter: EventEmitter, backlog: int | None, run: int | None) -> None:
    rows, bounds = job.outbox.table.rows, bounds_of(job.spec)
    emitter(Started(run, job.plan.verb.name, job.plan.label, ORDER, False, rows, backlog, counted=True, **bounds))


def _facts(job: RelayJob) -> RunFacts:
    more, shown = {"to": without_secrets(job.spec.to)}, job.database.address.shown
    return RunFacts(
        job.plan.verb.name, job.plan.label, ORDER, shown, more=more, command=_next(job), recipe_job=job.recipe_job,
        plan=kept_plan(job.plan),
    )  # fmt: skip


class Relay:
    """The parts of a running relay."""

    def __init__(
        self, job: RelayJob, live: LiveSettings, emitter: EventEmitter, stop: Stop, stats: RunStats, counters: Counters,
        stack: ExitStack,
    ) -> None:  # fmt: skip
        spec, database, outbox = job.spec, job.database, job.outbox
        self._live = live
        self._spec = spec
        self._database = database
        self._emitter = emitter
        self._stop = stop
        self._stats = stats
        self._holding: frozenset[Throttle] = frozenset()
        """The throttles that now ask to wait."""
        self._failures = RefusedEvents(database, job.tables.failed, outbox)
        label = outbox.table.label
        self._shards = Shards(
            database, Registry(database, job.tables.relays, job.tables.shards, label), label, spec.shards,
            spec.lease.total_seconds(), stays=spec.poll is not None,
        )  # fmt: skip
        self._status = OutboxStatus(outbox, self._failures)
        self.backlog_monitor = BacklogMonitor(database, self._status, counters)
        timeout = None if spec.poll is not None else spec.retry_timeout.total_seconds()
        self._circuit_breaker = CircuitBreaker(timeout, warn=lambda text: emitter(Warned(text)))
        delivery = DeliveryWorker(job.sink, lambda: stop.at_once, emitter, emitter.threads)
        stack.callback(delivery.close)
        stack.enter_context(self._shards.heartbeat(emitter.threads, lambda: stop.ask("locked")))
        self._source = EventSource(
            database, outbox, MessageMapper(outbox, job.mapping), self._shards, self._failures,
            OutboxLowWaterMark(database, outbox, self._failures), thorough=spec.poll is None, max_bytes=spec.max_bytes,
        )  # fmt: skip
        self._step = RelayStep(
            self._source, delivery,
            DeliveryRecorder(database, outbox, self._shards, self._failures, job.after_delivery), self._failures,
            FailurePolicy(spec.on_failed, RetryPolicy.starting_at(spec.backoff.total_seconds(), spec.max_attempts)),
            self._circuit_breaker, self._shards, counters, ahead=self._ahead, begin=self._begin(stack),
        )  # fmt: skip

    def _begin(self, stack: ExitStack) -> Begin:
        if self._database.backend.sessions.one_writer:
            return lambda work: work
        pool = stack.enter_context(ThreadPoolExecutor(1, "batchops-read"))
        return lambda work: pool.submit(work).result

    def backlog(self) -> int | None:
        """Return the number of unsent events, counted once at the start."""
        counts = self.backlog_monitor.counts()
        return counts.backlog if counts else None

    def _settled(self, throttle: Throttle) -> Throttle:
        """Return a throttle that asks to wait only once the batch in flight is marked. Until then nothing is sent."""

        def asks() -> ThrottleReason | None:
            reason = throttle()
            self._holding = self._holding - {throttle} if reason is None else self._holding | {throttle}
            return reason if self._step.at_rest else None

        return asks

    def loop_settings(self, record: RunRecord, throttles: Sequence[Throttle], stack: ExitStack) -> LoopSettings:
        """Return the settings of the loop."""
        spec, emitter = self._spec, self._emitter
        due = Due(self._database, self._failures.next_due)
        idle = None if spec.poll is None else Idle(due, spec.poll.total_seconds())
        return replace(
            loop_of(spec, self._step, self._live),
            throttles=(
                *map(self._settled, (record.throttle, *throttles)),
                self._await_shards,
                self._circuit_breaker.throttle,
            ),
            between=idle.worked if idle else lambda: None,
            idle=partial(self._idle, idle) if idle else self._last_look,
            wait=stack.enter_context(woken(self._database, spec.listen, self._stop, emitter.threads, emitter)),
        )

    def shortfall(self, stats: RunStats, counters: Counters) -> Failure | None:
        """Return what was refused or not delivered, and how to continue; None if all went well."""
        if self._failures.holding or stats.rejected or (counters["failed"] and not stats.rows):
            return self._refusal() or Failure("incomplete", f"Events were refused: {shown_causes(counters.causes)}.")
        if not stats.rows and self._circuit_breaker.down is not None:
            down = self._circuit_breaker.down.rstrip(".")
            return Failure("incomplete", f"Nothing was delivered; the destination is down: {down}.")
        return None

    def lost(self, ending: Ending) -> Ending:
        """Return the ending of a relay whose heartbeat found that another one has taken over."""
        error = self._shards.taken_over()
        return replace(ending, error=Failure(error.reason, error.message, error.hint))

    def _refusal(self) -> Failure | None:
        with suppress(BatchopsError), self._database.reading() as connection:
            return self._status.refusal(connection)
        return None

    def finish(self) -> None:
        """Wait for the batch in flight, mark it, and emit Committed."""
        with suppress(BatchopsError):
            outcome = self._step.finish()
            if outcome is not None and not outcome.empty:
                self._stats.rows += outcome.rows
                self._stats.read += outcome.read
                self._stats.batches += 1
                self._stats.rejected.add(outcome.rejected)
                self._emitter(Committed(outcome.rows, outcome.read, 0.0, outcome.read))

    def _ahead(self) -> bool:
        return not (self._stop.asked or self._holding or self._live.limits.rows.limited or self._live.limits.batches)

    def _await_shards(self) -> ThrottleReason | None:
        wait = self._shards.due()
        if wait > 0 and not self._shards.mine and self._spec.poll is not None:
            return UsualReason("other relays own every shard", wait)
        return None

    def _idle(self, idle: Idle) -> float:
        """Return the seconds until a relay that stays up reads again."""
        return min(idle.next_sleep(), max(self._shards.due(), 0.02)) if self._shards.mine else 0.0

    def _last_look(self) -> float | None:
        """Return None once nothing is left, 0 to continue; raise LockedError if only other relays' events are left."""
        self._shards.look()
        if self._shards.changing:
            return 0.0
        if not self._shards.mine:
            raise self._owned("Every shard of", "is owned by another relay")
        if self._source.elsewhere():
            raise self._owned("Undelivered events of", "belong to shards of another relay")
        return None

    def _owned(self, what: str, by_whom: str) -> LockedError:
        others = self._shards.others
        named = "; ".join(one.named for one in others)
        left = max((one.left for one in others), default=0.0)
        return LockedError(
            f'{what} "{self._spec.table}" {by_whom}: {named}.',
            f"use --poll to wait for them; if that process has died, its lease expires in {durations.show(left)}.",
        )


def _ended(job: RelayJob, ending: Ending, shortfall: Failure | None, stop: Stop) -> Ending:
    """Return the ending; `incomplete` if events were refused or none was delivered, even if a limit ended the run."""
    ending = ending if shortfall is None else as_incomplete(ending, shortfall)
    return ending if job.spec.poll is None else of_one_that_stays(ending, stop)


def _finished(job: RelayJob, ending: Ending, stats: RunStats, counters: Counters, counts: Counts | None) -> Finished:
    left = counts.pending if counts else None
    goes_on = left and ending.exit not in (Exit.INTEGRITY, Exit.REFUSED, Exit.USAGE)
    return replace(
        finished(job.plan.verb.name, job.plan.label, ORDER, ending, stats),
        participle=job.plan.verb.participle,
        left=left,
        next=_next(job) if goes_on else None,
        relayed=Relayed(
            failed=counters["failed"],
            unsent=counters["unsent"],
            held=counters["held"],
            dead_letters=counters["dead_letters"],
            backlog=counts.backlog if counts else None,
            waiting=counts.waiting if counts else None,
            oldest_seconds=counts.oldest if counts else None,
            causes=counters.causes,
        ),
    )


def _next(job: RelayJob) -> str | None:
    """Return the command that continues the relay; None if it would show a secret in an address."""
    if job.again:
        return job.again
    if without_secrets(job.spec.to) != job.spec.to:
        return None
    return command(job.plan.verb.command, job.spec, job.database.address.bare)
