"""The composition root of relay, its first half: from a spec to a plan."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

import sqlalchemy as sa

from batchops.db.backend import Server
from batchops.db.database import Database
from batchops.db.lookup import find_table
from batchops.db.recorded_statements import FIRST_ROWS, Rehearsed
from batchops.db.table import Table
from batchops.errors import RefusedError, UsageError
from batchops.events import Finished
from batchops.outbox.after_delivery import AfterDelivery, DeleteSent, MarkSent, MoveSent
from batchops.outbox.dry_run import rehearse
from batchops.outbox.failures import RefusedEvents
from batchops.outbox.mapping import MessageMapper, MessageMapping
from batchops.outbox.outbox import Outbox
from batchops.outbox.resolve import Chosen, find_outbox, mapping_of, warnings_of
from batchops.outbox.sinks import Describing, Sink
from batchops.outbox.sinks.registry import sink_of
from batchops.outbox.source import unsent_events
from batchops.outbox.spec import MOVE, RelaySpec
from batchops.outbox.tables import OutboxTables
from batchops.spec.settings import reached
from batchops.version import __version__


@dataclass(frozen=True)
class RelayJob:
    """A relay that is planned and may be run."""

    spec: RelaySpec
    database: Database
    server: Server
    sink: Sink
    outbox: Outbox
    mapping: MessageMapping
    after_delivery: AfterDelivery
    tables: OutboxTables
    plan: tuple[tuple[str, str], ...]
    """What will happen, as names and texts."""
    warnings: tuple[str, ...]
    again: str = ""
    """The command that goes on with it, where the verb's own does not."""

    def rehearse(self) -> Sequence[Rehearsed]:
        """The statements of its first batch, as a relay alone sends them."""
        failures = RefusedEvents(self.database, self.tables.failed, self.outbox)
        with self.database.reading() as connection:
            if self.tables.there(connection):
                failures.load(connection)
            compose, rows = MessageMapper(self.outbox, self.mapping), self.spec.batch_size or FIRST_ROWS
            reading = unsent_events(self.outbox, compose, failures, rows, [])
            return [*rehearse(connection, self.database, self.outbox, reading, self.after_delivery)]

    def ended(self, reason: str) -> Finished:
        """The end of a relay that did not run."""
        return Finished("relay", self.outbox.table.label, reason, 0, __version__, strategy="outbox")


@contextmanager
def prepare_relay(spec: RelaySpec, environ: Mapping[str, str], *, again: str = "") -> Iterator[RelayJob]:
    """Reach the database and plan the relay, without writing anything; BatchopsError where it cannot be.

    `again`: the command that goes on with it, where the verb's own does not.
    """
    with closing(sink_of(spec.to, environ)) as sink, reached(spec, environ) as database:
        with database.reading() as connection:
            job = _prepare(connection, spec, database, sink)
        yield replace(job, again=again)


def _prepare(connection: sa.Connection, spec: RelaySpec, database: Database, sink: Sink) -> RelayJob:
    server = database.backend.server(connection)
    outbox = find_outbox(connection, database, spec.table, Chosen.of(spec))
    mapping = mapping_of(spec, outbox, sink.properties if isinstance(sink, Describing) else ())
    after_delivery = _after_delivery(connection, database, outbox, spec)
    if (unwritable := server.refusal(database.address.shown)) is not None:
        raise unwritable
    _may_finish(database, server, after_delivery)
    tables = OutboxTables(database, spec.ledger_schema)
    if (forbidden := tables.obstacle(server.role)) is not None:
        raise forbidden
    if spec.listen is not None and database.backend.notifications is None:
        raise UsageError(f"--listen: {server.product} has no notifications.", "--poll alone does it.")
    warnings = (*database.address.warnings, *warnings_of(connection, outbox, mapping))
    plan = _plan(database, server, outbox, mapping, spec)
    return RelayJob(spec, database, server, sink, outbox, mapping, after_delivery, tables, plan, warnings)


def _may_finish(database: Database, server: Server, after_delivery: AfterDelivery) -> None:
    """RefusedError where this role lacks a right for what is done with sent events."""
    for table, needs in after_delivery.needs():
        missing = database.missing_right(table, server.role, needs)
        if missing is not None:
            raise missing.refusal(database.engine.dialect)


def _after_delivery(connection: sa.Connection, database: Database, outbox: Outbox, spec: RelaySpec) -> AfterDelivery:
    if spec.after_delivery == "mark":
        if outbox.sent is None:
            raise UsageError(
                f'Table "{outbox.table.label}" has no column that marks a sent event, like sent_at or sent.',
                "say which one it is: --sent COLUMN; or delete sent events: --after-delivery delete.",
            )
        if outbox.sent.column.generated:
            raise RefusedError(
                f'Column "{outbox.sent.column.name}" of table "{outbox.table.label}" is generated: it cannot be set.',
                "name the column that it is made from: --sent COLUMN; or delete sent events: --after-delivery delete.",
            )
        return MarkSent(outbox, outbox.sent)
    if spec.after_delivery == "delete":
        return DeleteSent(outbox)
    to: Table = find_table(connection, database.backend, spec.after_delivery.removeprefix(MOVE))
    if missing := [name for name in outbox.table.column_names if name not in to.column_names]:
        raise UsageError(
            f'--after-delivery: table "{to.label}" lacks {", ".join(missing)}, which "{outbox.table.label}" has.'
        )
    return MoveSent(outbox, to)


def _plan(
    database: Database, server: Server, outbox: Outbox, mapping: MessageMapping, spec: RelaySpec
) -> tuple[tuple[str, str], ...]:
    names = outbox.names
    order = ", ".join(name for name in (names.aggregate_type, names.aggregate_id) if name is not None)
    return (
        ("database", f"{database.address.shown} ({server.product} {server.version})"),
        ("to", shown(spec.to)),
        ("topic", mapping.topic.text),
        ("key", mapping.key.text),
        ("headers", ", ".join(f"{name}={text.text}" for name, text in mapping.headers.items()) or "none"),
        *(
            (("properties", ", ".join(f"{n}={t.text}" for n, t in mapping.properties.items())),)
            if mapping.properties
            else ()
        ),
        ("body", mapping.body.text if mapping.body else f"{{{names.payload}}}"),
        *_order(outbox, order),
        ("sent", spec.after_delivery if spec.after_delivery != "mark" or outbox.sent is None else outbox.sent.shown),
        ("refused", spec.on_failed),
        ("shards", str(spec.shards)),
    )


def _order(outbox: Outbox, aggregate: str) -> Iterator[tuple[str, str]]:
    order = outbox.order
    yield "order", f"{order.shown} within each ({aggregate})" if order.kept else order.shown
    if order.kept and not order.numbered:
        yield "rests on", order.rests.value


def shown(to: str) -> str:
    """The destination without what may be a secret: user, password, token."""
    return re.sub(r"//[^/@]*@", "//", re.split(r"[?#]", to)[0]) if "://" in to else to
