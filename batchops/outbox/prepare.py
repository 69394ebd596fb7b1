"""Prepares a relay: makes a job from a spec, and writes nothing."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace

import sqlalchemy as sa

from batchops.db.catalog import Server
from batchops.db.database import Database
from batchops.db.lookup import find_table
from batchops.db.recorded_statements import FIRST_ROWS, Rehearsed, recording, rehearsed
from batchops.db.signals import run_scope
from batchops.db.table import Table
from batchops.errors import RefusedError, UsageError
from batchops.outbox.after_delivery import AfterDelivery, DeleteSent, MarkSent, MoveSent
from batchops.outbox.failures import RefusedEvents
from batchops.outbox.job import ORDER, RelayJob
from batchops.outbox.mapping import MessageMapper, MessageMapping
from batchops.outbox.outbox import Outbox
from batchops.outbox.resolve import Chosen, find_outbox, mapping_of, warnings_of
from batchops.outbox.sinks import HasProperties, Sink
from batchops.outbox.sinks.address import without_secrets
from batchops.outbox.sinks.registry import sink_of
from batchops.outbox.source import unsent_events
from batchops.outbox.spec import MOVE, RelaySpec
from batchops.outbox.tables import OutboxTables
from batchops.spec.loop_throttles import throttle_facts
from batchops.spec.settings import reached, record_ledger
from batchops.spec.verb import DIRECT, FactsPlan, RecipeCall, Verb
from batchops.throttles.chosen import chosen


def rehearse(
    connection: sa.Connection,
    database: Database,
    outbox: Outbox,
    reading: sa.Select[tuple[object, ...]],
    after_delivery: AfterDelivery,
) -> Iterator[Rehearsed]:
    """Yield the statements that read the first events, and those that mark the first one as sent."""
    yield from rehearsed(connection, database, "read", [reading])
    row = connection.execute(reading.with_only_columns(outbox.id_out).limit(1)).first()
    if row is None:
        return
    with recording(connection) as marks:
        after_delivery(connection, [row[0]])
    yield from rehearsed(connection, database, "mark", marks)


@contextmanager
def prepare_relay(spec: RelaySpec, environ: Mapping[str, str], *, recipe: RecipeCall = DIRECT) -> Iterator[RelayJob]:
    """Connect to the database and yield the job, without writing anything; BatchopsError if it cannot be prepared."""
    with (
        closing(sink_of(spec.to, environ)) as sink,
        reached(spec, environ) as database,
        record_ledger(spec, database, environ) as ledger,
    ):
        with database.reading() as connection:
            job = _prepare(connection, spec, database, sink, recipe.command)
        yield replace(job, ledger=ledger, recipe_job=recipe.job)


def _prepare(connection: sa.Connection, spec: RelaySpec, database: Database, sink: Sink, again: str) -> RelayJob:
    server = database.backend.catalog.server(connection)
    outbox = find_outbox(connection, database, spec.table, Chosen.of(spec))
    mapping = mapping_of(spec, outbox, sink.properties if isinstance(sink, HasProperties) else ())
    after_delivery = _after_delivery(connection, database, outbox, spec)
    if (unwritable := server.refusal(database.address.shown)) is not None:
        raise unwritable
    _check_rights(database, server, after_delivery)
    tables = OutboxTables(database, spec.ledger_schema)
    if (forbidden := tables.obstacle(server.role)) is not None:
        raise forbidden
    if spec.listen is not None and database.backend.notifications is None:
        raise UsageError(f"--listen: {server.product} has no notifications.", "use --poll alone.")

    def first_statements() -> Sequence[Rehearsed]:
        return _rehearsed(spec, database, outbox, mapping, after_delivery, tables)

    scope = run_scope(server.role, outbox.table, spec.replicas, database)
    watched = chosen(connection, database, spec.throttles, scope)
    throttles = throttle_facts(spec, watched)
    plan = FactsPlan(
        VERB, outbox.table.label, ORDER, (*_facts(database, server, outbox, mapping, spec), *throttles),
        (*database.address.warnings, *warnings_of(connection, outbox, mapping)), rehearse=first_statements,
    )  # fmt: skip
    return RelayJob(spec, database, sink, outbox, mapping, after_delivery, tables, plan, again, watched=watched)


def _rehearsed(
    spec: RelaySpec, database: Database, outbox: Outbox, mapping: MessageMapping, after_delivery: AfterDelivery,
    tables: OutboxTables,
) -> list[Rehearsed]:  # fmt: skip
    """Return the statements of the first batch, as a relay sends them that runs alone."""
    failures = RefusedEvents(database, tables.failed, outbox)
    with database.reading() as connection:
        if tables.there(connection):
            failures.load(connection)
        compose, rows = MessageMapper(outbox, mapping), spec.batch_size or FIRST_ROWS
        reading = unsent_events(outbox, compose, failures, rows, [])
        return [*rehearse(connection, database, outbox, reading, after_delivery)]


def _check_rights(database: Database, server: Server, after_delivery: AfterDelivery) -> None:
    """Raise RefusedError if this role may not mark, delete or move sent events."""
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


def _facts(
    database: Database, server: Server, outbox: Outbox, mapping: MessageMapping, spec: RelaySpec
) -> tuple[tuple[str, str], ...]:
    names = outbox.names
    order = ", ".join(name for name in (names.aggregate_type, names.aggregate_id) if name is not None)
    return (
        ("database", f"{database.address.shown} ({server.product} {server.version})"),
        ("to", without_secrets(spec.to)),
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
        yield "rests on", order.source.value


VERB = Verb(
    name="relay",
    spec=RelaySpec,
    help="Deliver the unsent events of the outbox TABLE, in order within each aggregate, at least once.\n\nA relay "
    "marks an event after the destination has acknowledged it. Each of the --shards has one relay at a time, "
    "by a lease. When a lease expires, another relay takes over and sends unmarked messages again; old "
    "messages can arrive late. If another live relay holds undelivered events, a relay with --poll waits. "
    "Without --poll it ends with 11 and names the other relay. relay asks no question.\n\nExample: batchops "
    "relay outbox --to file:events.jsonl",
    participle="relayed",
    prepare=prepare_relay,
)
