"""The composition root of replay: sent events delivered again."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.db.recorded_statements import FIRST_ROWS, Rehearsed, rehearsed
from batchops.errors import RefusedError, UsageError
from batchops.events import Emit, Finished, Started, Warned
from batchops.outbox.circuit_breaker import CircuitBreaker
from batchops.outbox.delivery import DeliveryWorker
from batchops.outbox.mapping import MessageMapper
from batchops.outbox.outbox import Outbox
from batchops.outbox.prepare import shown
from batchops.outbox.replay_step import ReplayStep
from batchops.outbox.resolve import Chosen, find_outbox, mapping_of, warnings_of
from batchops.outbox.sent_events import SentEvents
from batchops.outbox.sinks import Describing, Sink
from batchops.outbox.sinks.registry import sink_of
from batchops.outbox.spec import ReplaySpec
from batchops.runtime.ending import as_incomplete, finished
from batchops.runtime.lifecycle import EventEmitter, whole_run
from batchops.runtime.loop import Ending, LoopSettings, RunStats, run
from batchops.runtime.pacing import Pacing
from batchops.runtime.stop import Stop
from batchops.spec.settings import bounds_of, grace_of, limits_of, reached
from batchops.version import __version__

OFTEN = 10
"""Batches a second that a rate is kept by."""


@dataclass(frozen=True)
class ReplayJob:
    """A replay that is planned and may be run."""

    spec: ReplaySpec
    database: Database
    sink: Sink
    outbox: Outbox
    sent: SentEvents
    plan: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]

    def rehearse(self) -> Sequence[Rehearsed]:
        """What reads its first batch; nothing is marked."""
        with self.database.reading() as connection:
            first = self.sent.reading(_size(self.spec) or FIRST_ROWS)
            return [*rehearsed(connection, self.database, "read", [first])]

    def ended(self, reason: str) -> Finished:
        """The end of a replay that did not run."""
        return Finished("replay", self.outbox.table.label, reason, 0, __version__, strategy="outbox")


@contextmanager
def prepare_replay(spec: ReplaySpec, environ: Mapping[str, str]) -> Iterator[ReplayJob]:
    """Reach the database and plan the replay; BatchopsError where it cannot be. Nothing is written, then or later."""
    with closing(sink_of(spec.to, environ)) as sink, reached(spec, environ) as database:
        with database.reading() as connection:
            job = _prepare(connection, spec, database, sink)
        yield job


def _prepare(connection: sa.Connection, spec: ReplaySpec, database: Database, sink: Sink) -> ReplayJob:
    outbox = find_outbox(connection, database, spec.table, Chosen.of(spec))
    if outbox.sent is None:
        raise RefusedError(f'Table "{outbox.table.label}" has no column that tells which events were sent.')
    if empty := [name for name in outbox.order.columns if outbox.table.column(name).nullable]:
        raise RefusedError(
            f'{", ".join(empty)} of "{outbox.table.label}" may be NULL: a replay by it could pass events by.',
            f"--order {outbox.names.id}, or another column without NULLs.",
        )
    mapping = mapping_of(spec, outbox, sink.properties if isinstance(sink, Describing) else ())
    where = list(_where(connection, spec, outbox))
    sent = SentEvents(database, outbox, MessageMapper(outbox, mapping), where, spec.max_bytes)
    plan = (("database", database.address.shown), ("to", shown(spec.to)), ("topic", mapping.topic.text),
            ("events", _events(spec)), ("marks", "left as they are"))  # fmt: skip
    warnings = (*database.address.warnings, *warnings_of(connection, outbox, mapping))
    return ReplayJob(spec, database, sink, outbox, sent, plan, warnings)


def _where(connection: sa.Connection, spec: ReplaySpec, outbox: Outbox) -> Iterator[sa.ColumnElement[bool]]:
    names = outbox.names
    for flag, text, compare in (("--since", spec.since, ">="), ("--until", spec.until, "<")):
        if text is not None:
            yield _moment(connection, outbox, flag, text, compare)
    if spec.only_aggregate:
        if names.aggregate_id is None:
            raise UsageError(
                "--of: the table has no column that tells an event's aggregate.", "give --aggregate-id COLUMN."
            )
        yield outbox.backend.events.text(outbox.table, names.aggregate_id).in_(spec.only_aggregate)
    if spec.only_type:
        if names.event_type is None:
            raise UsageError("--type: the table has no column that tells an event's type.", "give --event-type COLUMN.")
        yield outbox.backend.events.text(outbox.table, names.event_type).in_(spec.only_type)


def _moment(
    connection: sa.Connection, outbox: Outbox, flag: str, text: str, compare: str
) -> sa.ColumnElement[bool]:  # fmt: skip
    sent = outbox.sent
    if sent is None or sent.when is None:
        raise UsageError(
            f"{flag}: the table does not tell when an event was sent.",
            "give --of, --type or --all-events, or the column that tells: --sent-time COLUMN.",
        )
    return sent.compared(connection, compare, text)


def _events(spec: ReplaySpec) -> str:
    said = [
        f"sent since {spec.since}" if spec.since else "",
        f"sent before {spec.until}" if spec.until else "",
        f"of {', '.join(spec.only_aggregate)}" if spec.only_aggregate else "",
        f"of type {', '.join(spec.only_type)}" if spec.only_type else "",
    ]
    return ", ".join(batch for batch in said if batch) or "every sent event"


def run_replay(job: ReplayJob, emit: Emit, stop: Stop) -> Finished:
    """Run what was prepared; every error once the run has begun is told in what is returned."""
    stats = RunStats()

    def ended(ending: Ending) -> Finished:
        return finished("replay", job.outbox.table.label, "outbox", ending, stats)

    grace = grace_of(job.spec, job.database)
    return whole_run(emit, stop, lambda emitter, stop: ended(_sent_again(job, emitter, stop, stats)), ended, grace)


def _sent_again(job: ReplayJob, emitter: EventEmitter, stop: Stop, stats: RunStats) -> Ending:
    spec = job.spec
    label, events, bounds = job.outbox.table.label, job.sent.count(), bounds_of(spec)
    emitter(Started(None, "replay", label, "outbox", False, None, events, counted=True, **bounds))
    circuit_breaker = CircuitBreaker(spec.retry_timeout.total_seconds(), warn=lambda text: emitter(Warned(text)))
    with closing(DeliveryWorker(job.sink, lambda: stop.at_once, emitter, emitter.threads)) as delivery:
        loop = LoopSettings(
            step=ReplayStep(job.sent, delivery, circuit_breaker),
            pacing=Pacing(target=0.25, fixed=_size(spec)),
            limits=limits_of(spec),
            sleep=spec.sleep.total_seconds(),
            retry_timeout=spec.retry_timeout.total_seconds(),
            throttle=lambda: circuit_breaker.throttle() or _ahead_of(spec.rate, stats, begun),
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


def _ahead_of(rate: float | None, stats: RunStats, begun: float) -> tuple[str, float] | None:
    """How long to wait so that no more than `rate` a second are sent."""
    early = 0.0 if rate is None else stats.read / rate - (time.monotonic() - begun)
    return ("--rate", early) if early > 0.001 else None
