"""The verb replay: delivers sent events again."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.db.recorded_statements import FIRST_ROWS, Rehearsed, rehearsed
from batchops.errors import RefusedError, UsageError
from batchops.events import Emit, Finished, Started, ThrottleReason, UsualReason, Warned
from batchops.ledger.ledger import Ledger
from batchops.outbox.circuit_breaker import CircuitBreaker
from batchops.outbox.delivery import DeliveryWorker
from batchops.outbox.job import ORDER
from batchops.outbox.mapping import MessageMapper
from batchops.outbox.outbox import Outbox
from batchops.outbox.replay_step import ReplayStep
from batchops.outbox.resolve import Chosen, find_outbox, mapping_of, warnings_of
from batchops.outbox.sent_events import SentEvents
from batchops.outbox.sinks import HasProperties, Sink
from batchops.outbox.sinks.address import without_secrets
from batchops.outbox.sinks.registry import sink_of
from batchops.outbox.spec import ReplaySpec
from batchops.runtime.ending import Ending, as_incomplete, finished
from batchops.runtime.lifecycle import EventEmitter, whole_run
from batchops.runtime.live_settings import LiveSettings
from batchops.runtime.loop import RunStats, run
from batchops.runtime.pacing import Pacing
from batchops.runtime.run_record import RunFacts, RunRecord, run_record
from batchops.runtime.stop import Stop
from batchops.spec.settings import bounds_of, grace_of, live_of, loop_of, reached, record_ledger
from batchops.spec.verb import FactsPlan, Verb, kept_plan
from batchops.version import __version__

OFTEN = 10
"""Batches per second that --rate is divided into."""


@dataclass(frozen=True)
class ReplayJob:
    """A replay prepared on one database."""

    spec: ReplaySpec
    database: Database
    sink: Sink
    sent: SentEvents
    plan: FactsPlan
    ledger: Ledger | None = None
    """The ledger that records the run; None without one."""

    def run(self, emit: Emit, stop: Stop) -> Finished:
        """Run the replay. An error before it begins is raised; a later one is in what this returns."""
        stats = RunStats()

        def ended(ending: Ending) -> Finished:
            end = finished(self.plan.verb.name, self.plan.label, ORDER, ending, stats)
            return replace(end, participle=self.plan.verb.participle)

        grace = grace_of(self.spec, self.database)

        def work(emitter: EventEmitter, stop: Stop) -> Finished:
            spec, pacing = self.spec, Pacing(target=0.25, fixed=_size(self.spec))
            live, begun = live_of(spec, pacing, several=False), partial(_begun, self, emitter)
            with run_record(self.ledger, _facts(self), live, stats, stop, emitter, begun) as record:
                return record.ended(ended(_sent_again(self, live, record, emitter, stop, stats)))

        return whole_run(emit, stop, work, ended, grace)

    def not_run(self, reason: str) -> Finished:
        """Return the end of a job that is not run."""
        return Finished(self.plan.verb.name, self.plan.label, reason, 0, __version__, strategy=ORDER)


@contextmanager
def prepare_replay(spec: ReplaySpec, environ: Mapping[str, str]) -> Iterator[ReplayJob]:
    """Connect to the database and yield the job; BatchopsError if it cannot be prepared. No event is ever changed."""
    with (
        closing(sink_of(spec.to, environ)) as sink,
        reached(spec, environ) as database,
        record_ledger(spec, database, environ) as ledger,
    ):
        with database.reading() as connection:
            job = _prepare(connection, spec, database, sink)
        yield replace(job, ledger=ledger)


def _prepare(connection: sa.Connection, spec: ReplaySpec, database: Database, sink: Sink) -> ReplayJob:
    outbox = find_outbox(connection, database, spec.table, Chosen.of(spec))
    if outbox.sent is None:
        raise RefusedError(f'Table "{outbox.table.label}" has no column that tells which events were sent.')
    if empty := [name for name in outbox.order.columns if outbox.table.column(name).nullable]:
        raise RefusedError(
            f'{", ".join(empty)} of "{outbox.table.label}" may be NULL: a replay in that order could skip events.',
            f"--order {outbox.names.id}, or another column without NULLs.",
        )
    mapping = mapping_of(spec, outbox, sink.properties if isinstance(sink, HasProperties) else ())
    where = list(_where(connection, spec, outbox))
    sent = SentEvents(database, outbox, MessageMapper(outbox, mapping), where, spec.max_bytes)
    facts = (("database", database.address.shown), ("to", without_secrets(spec.to)), ("topic", mapping.topic.text),
             ("events", _events(spec)), ("marks", "left as they are"))  # fmt: skip
    warnings = (*database.address.warnings, *warnings_of(connection, outbox, mapping))

    def first_statements() -> Sequence[Rehearsed]:
        return _rehearsed(spec, database, sent)

    plan = FactsPlan(VERB, outbox.table.label, ORDER, facts, warnings, rehearse=first_statements)
    return ReplayJob(spec, database, sink, sent, plan)


def _rehearsed(spec: ReplaySpec, database: Database, sent: SentEvents) -> list[Rehearsed]:
    """Return the statement that reads the first batch. A replay marks nothing."""
    with database.reading() as connection:
        return [*rehearsed(connection, database, "read", [sent.reading(_size(spec) or FIRST_ROWS)])]


def _where(connection: sa.Connection, spec: ReplaySpec, outbox: Outbox) -> Iterator[sa.ColumnElement[bool]]:
    names = outbox.names
    for flag, text, compare in (("--since", spec.since, ">="), ("--until", spec.until, "<")):
        if text is not None:
            yield _moment(connection, outbox, flag, text, compare)
    if spec.only_aggregate:
        if names.aggregate_id is None:
            raise UsageError(
                "--only-aggregate: the table has no column with the aggregate of an event.",
                "give --aggregate-id COLUMN.",
            )
        yield outbox.backend.events.text(outbox.table, names.aggregate_id).in_(spec.only_aggregate)
    if spec.only_type:
        if names.event_type is None:
            raise UsageError(
                "--only-type: the table has no column with the type of an event.", "give --event-type COLUMN."
            )
        yield outbox.backend.events.text(outbox.table, names.event_type).in_(spec.only_type)


def _moment(
    connection: sa.Connection, outbox: Outbox, flag: str, text: str, compare: str
) -> sa.ColumnElement[bool]:  # fmt: skip
    sent = outbox.sent
    if sent is None or sent.when is None:
        raise UsageError(
            f"{flag}: the table does not tell when an event was sent.",
            "give --only-aggregate, --only-type or --all-events, or the column that tells: --sent-time COLUMN.",
        )
    return sent.compared(connection, compare, text)


def _events(spec: ReplaySpec) -> str:
    parts = [
        f"sent since {spec.since}" if spec.since else "",
        f"sent before {spec.until}" if spec.until else "",
        f"of {', '.join(spec.only_aggregate)}" if spec.only_aggregate else "",
        f"of type {', '.join(spec.only_type)}" if spec.only_type else "",
    ]
    return ", ".join(part for part in parts if part) or "every sent event"


def _begun(job: ReplayJob, emitter: EventEmitter, run: int | None) -> None:
    verb, events, bounds = job.plan.verb.name, job.sent.count(), bounds_of(job.spec)
    emitter(Started(run, verb, job.plan.label, ORDER, False, None, events, counted=True, **bounds))


def _facts(job: ReplayJob) -> RunFacts:
    more, shown = {"to": without_secrets(job.spec.to)}, job.database.address.shown
    return RunFacts(job.plan.verb.name, job.plan.label, ORDER, shown, more=more, plan=kept_plan(job.plan))


def _sent_again(
    job: ReplayJob, live: LiveSettings, record: RunRecord, emitter: EventEmitter, stop: Stop, stats: RunStats
) -> Ending:
    spec = job.spec
    circuit_breaker = CircuitBreaker(spec.retry_timeout.total_seconds(), warn=lambda text: emitter(Warned(text)))
    with closing(DeliveryWorker(job.sink, lambda: stop.at_once, emitter, emitter.threads)) as delivery:
        step = ReplayStep(job.sent, delivery, circuit_breaker)
        loop = replace(
            loop_of(spec, step, live),
            throttles=(record.throttle, circuit_breaker.throttle, lambda: _ahead_of(spec.rate, stats, begun)),
        )
        begun = time.monotonic()
        ending = run(loop, emitter, stop, stats)
    if stats.rejected or (circuit_breaker.down is not None and not stats.rows):
        ending = as_incomplete(ending)
    return ending


def _size(spec: ReplaySpec) -> int | None:
    if spec.rate is None:
        return spec.batch_size
    return min(spec.batch_size or 100_000, max(1, int(spec.rate / OFTEN)))


def _ahead_of(rate: float | None, stats: RunStats, begun: float) -> ThrottleReason | None:
    """Return how long to wait, so that no more than `rate` events per second are sent; None for no wait."""
    early = 0.0 if rate is None else stats.read / rate - (time.monotonic() - begun)
    return UsualReason("--rate", early) if early > 0.001 else None


VERB = Verb(
    name="replay",
    group="outbox",
    spec=ReplaySpec,
    help="Deliver sent events of TABLE again, in the order of writing.\n\nNo event is changed. "
    "replay asks no question.\n\nExample: batchops outbox replay outbox --to file:again.jsonl --since 2h "
    "--rate 500",
    participle="sent again",
    prepare=prepare_replay,
)
