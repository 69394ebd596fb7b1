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
from batchops.outbox.circuit_breaker import Circuit
from batchops.outbox.delivery import Courier
from batchops.outbox.mapping import Composer
from batchops.outbox.outbox import Outbox
from batchops.outbox.prepare import shown
from batchops.outbox.replay_step import ReplayStep
from batchops.outbox.resolve import Chosen, find_outbox, form_of, warnings_of
from batchops.outbox.sent_events import Sent
from batchops.outbox.sinks import Describing, Sink
from batchops.outbox.sinks.registry import sink_of
from batchops.outbox.spec import ReplaySpec
from batchops.runtime.ending import as_incomplete, finished
from batchops.runtime.lifecycle import Telling, whole_run
from batchops.runtime.loop import Ending, Job, Tally, run
from batchops.runtime.pacing import Pace
from batchops.runtime.stop import Stop
from batchops.spec.settings import bounds_of, grace_of, limits_of, reached
from batchops.version import __version__

OFTEN = 10
"""Batches a second that a rate is kept by."""


@dataclass(frozen=True)
class PreparedReplay:
    """A replay that is planned and may be run."""

    spec: ReplaySpec
    database: Database
    sink: Sink
    outbox: Outbox
    sent: Sent
    plan: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]

    def rehearse(self) -> Sequence[Rehearsed]:
        """What reads its first batch; nothing is marked."""
        with self.database.reading() as connection:
            first = self.sent.reading(_size(self.spec) or FIRST_ROWS)
            return [*rehearsed(connection, self.database, "read", [first])]

    def ended(self, reason: str) -> Finished:
        """The end of a replay that did not run."""
        return Finished("replay", self.outbox.table.label, reason, 0, __version__, walk="outbox")


@contextmanager
def prepared_replay(spec: ReplaySpec, environ: Mapping[str, str]) -> Iterator[PreparedReplay]:
    """Reach the database and plan the replay; BatchopsError where it cannot be. Nothing is written, then or later."""
    with closing(sink_of(spec.to, environ)) as sink, reached(spec, environ) as database:
        with database.reading() as connection:
            job = _prepare(connection, spec, database, sink)
        yield job


def _prepare(connection: sa.Connection, spec: ReplaySpec, database: Database, sink: Sink) -> PreparedReplay:
    outbox = find_outbox(connection, database, spec.table, Chosen.of(spec))
    if outbox.sent is None:
        raise RefusedError(f'Table "{outbox.table.label}" has no column that tells which events were sent.')
    if empty := [name for name in outbox.order.columns if outbox.table.column(name).nullable]:
        raise RefusedError(
            f'{", ".join(empty)} of "{outbox.table.label}" may be NULL: a replay by it could pass events by.',
            f"--order {outbox.names.id}, or another column without NULLs.",
        )
    form = form_of(spec, outbox, sink.properties if isinstance(sink, Describing) else ())
    where = list(_where(connection, spec, outbox))
    sent = Sent(database, outbox, Composer(outbox, form), where, spec.max_bytes)
    plan = (("database", database.address.shown), ("to", shown(spec.to)), ("topic", form.topic.text),
            ("events", _events(spec)), ("marks", "left as they are"))  # fmt: skip
    warnings = (*database.address.warnings, *warnings_of(connection, outbox, form))
    return PreparedReplay(spec, database, sink, outbox, sent, plan, warnings)


def _where(connection: sa.Connection, spec: ReplaySpec, outbox: Outbox) -> Iterator[sa.ColumnElement[bool]]:
    names = outbox.names
    for flag, text, compare in (("--since", spec.since, ">="), ("--until", spec.until, "<")):
        if text is not None:
            yield _moment(connection, outbox, flag, text, compare)
    if spec.of:
        if names.aggregate is None:
            raise UsageError(
                "--of: the table has no column that tells an event's aggregate.", "give --aggregate COLUMN."
            )
        yield outbox.family.events.text(outbox.table, names.aggregate).in_(spec.of)
    if spec.type:
        if names.event_type is None:
            raise UsageError("--type: the table has no column that tells an event's type.", "give --event-type COLUMN.")
        yield outbox.family.events.text(outbox.table, names.event_type).in_(spec.type)


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
        f"of {', '.join(spec.of)}" if spec.of else "",
        f"of type {', '.join(spec.type)}" if spec.type else "",
    ]
    return ", ".join(part for part in said if part) or "every sent event"


def replay_prepared(job: PreparedReplay, emit: Emit, stop: Stop) -> Finished:
    """Run what was prepared; every error once the run has begun is told in what is returned."""
    tally = Tally()

    def ended(ending: Ending) -> Finished:
        return finished("replay", job.outbox.table.label, "outbox", ending, tally)

    grace = grace_of(job.spec, job.database)
    return whole_run(emit, stop, lambda telling, stop: ended(_sent_again(job, telling, stop, tally)), ended, grace)


def _sent_again(job: PreparedReplay, telling: Telling, stop: Stop, tally: Tally) -> Ending:
    spec = job.spec
    label, events, bounds = job.outbox.table.label, job.sent.count(), bounds_of(spec)
    telling(Started(None, "replay", label, "outbox", False, None, events, counted=True, **bounds))
    circuit = Circuit(spec.retry_time.total_seconds(), warn=lambda text: telling(Warned(text)))
    with closing(Courier(job.sink, lambda: stop.at_once, telling, telling.threads)) as courier:
        loop = Job(
            step=ReplayStep(job.sent, courier, circuit),
            pace=Pace(target=0.25, fixed=_size(spec)),
            limits=limits_of(spec),
            rest=spec.rest.total_seconds(),
            patience=spec.retry_time.total_seconds(),
            hold=lambda: circuit.hold() or _ahead_of(spec.rate, tally, begun),
        )
        begun = time.monotonic()
        ending = run(loop, telling, stop, tally)
    if tally.rejected or (circuit.down is not None and not tally.rows):
        ending = as_incomplete(ending)
    return ending


def _size(spec: ReplaySpec) -> int | None:
    if spec.rate is None:
        return spec.batch_size
    return min(spec.batch_size or 100_000, max(1, int(spec.rate / OFTEN)))


def _ahead_of(rate: float | None, tally: Tally, begun: float) -> tuple[str, float] | None:
    """How long to wait so that no more than `rate` a second are sent."""
    early = 0.0 if rate is None else tally.read / rate - (time.monotonic() - begun)
    return ("--rate", early) if early > 0.001 else None
