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
from batchops.outbox.after_delivery import Delete, Mark, Move, Then
from batchops.outbox.dry_run import rehearse
from batchops.outbox.failures import Failures
from batchops.outbox.mapping import Composer, Form
from batchops.outbox.outbox import Outbox
from batchops.outbox.resolve import Chosen, find_outbox, form_of, warnings_of
from batchops.outbox.sinks import Describing, Sink
from batchops.outbox.sinks.registry import sink_of
from batchops.outbox.source import unsent_events
from batchops.outbox.spec import MOVE, RelaySpec
from batchops.outbox.tables import Beside
from batchops.spec.settings import reached
from batchops.version import __version__


@dataclass(frozen=True)
class PreparedRelay:
    """A relay that is planned and may be run."""

    spec: RelaySpec
    database: Database
    server: Server
    sink: Sink
    outbox: Outbox
    form: Form
    then: Then
    beside: Beside
    plan: tuple[tuple[str, str], ...]
    """What will happen, as names and texts."""
    warnings: tuple[str, ...]
    again: str = ""
    """The command that goes on with it, where the verb's own does not."""

    def rehearse(self) -> Sequence[Rehearsed]:
        """The statements of its first batch, as a relay alone sends them."""
        failures = Failures(self.database, self.beside.failed, self.outbox)
        with self.database.reading() as connection:
            if self.beside.there(connection):
                failures.load(connection)
            compose, rows = Composer(self.outbox, self.form), self.spec.batch_size or FIRST_ROWS
            reading = unsent_events(self.outbox, compose, failures, rows, [])
            return [*rehearse(connection, self.database, self.outbox, reading, self.then)]

    def ended(self, reason: str) -> Finished:
        """The end of a relay that did not run."""
        return Finished("relay", self.outbox.table.label, reason, 0, __version__, walk="outbox")


@contextmanager
def prepared_relay(spec: RelaySpec, environ: Mapping[str, str], *, again: str = "") -> Iterator[PreparedRelay]:
    """Reach the database and plan the relay, without writing anything; BatchopsError where it cannot be.

    `again`: the command that goes on with it, where the verb's own does not.
    """
    with closing(sink_of(spec.to, environ)) as sink, reached(spec, environ) as database:
        with database.reading() as connection:
            job = _prepare(connection, spec, database, sink)
        yield replace(job, again=again)


def _prepare(connection: sa.Connection, spec: RelaySpec, database: Database, sink: Sink) -> PreparedRelay:
    server = database.family.server(connection)
    outbox = find_outbox(connection, database, spec.table, Chosen.of(spec))
    form = form_of(spec, outbox, sink.properties if isinstance(sink, Describing) else ())
    then = _then(connection, database, outbox, spec)
    if (unwritable := server.refusal(database.address.shown)) is not None:
        raise unwritable
    _may_settle(database, server, then)
    beside = Beside(database, spec.ledger_schema)
    if (barred := beside.obstacle(server.role)) is not None:
        raise barred
    if spec.listen is not None and database.family.signals is None:
        raise UsageError(f"--listen: {server.product} has no notifications.", "--poll alone does it.")
    warnings = (*database.address.warnings, *warnings_of(connection, outbox, form))
    plan = _plan(database, server, outbox, form, spec)
    return PreparedRelay(spec, database, server, sink, outbox, form, then, beside, plan, warnings)


def _may_settle(database: Database, server: Server, then: Then) -> None:
    """RefusedError where this role lacks a right for what is done with sent events."""
    for table, needs in then.needs():
        missing = database.missing_right(table, server.role, needs)
        if missing is not None:
            raise missing.refusal(database.engine.dialect)


def _then(connection: sa.Connection, database: Database, outbox: Outbox, spec: RelaySpec) -> Then:
    if spec.then == "mark":
        if outbox.sent is None:
            raise UsageError(
                f'Table "{outbox.table.label}" has no column that marks a sent event, like sent_at or sent.',
                "say which one it is: --sent COLUMN; or have sent events taken away: --then delete.",
            )
        if outbox.sent.column.generated:
            raise RefusedError(
                f'Column "{outbox.sent.column.name}" of table "{outbox.table.label}" is generated: it cannot be set.',
                "name the column that it is made from: --sent COLUMN; or have sent events taken away: --then delete.",
            )
        return Mark(outbox, outbox.sent)
    if spec.then == "delete":
        return Delete(outbox)
    to: Table = find_table(connection, database.family, spec.then.removeprefix(MOVE))
    if missing := [name for name in outbox.table.column_names if name not in to.column_names]:
        raise UsageError(
            f'--then: table "{to.label}" has no column {", ".join(missing)}, which "{outbox.table.label}" has.'
        )
    return Move(outbox, to)


def _plan(
    database: Database, server: Server, outbox: Outbox, form: Form, spec: RelaySpec
) -> tuple[tuple[str, str], ...]:
    names = outbox.names
    order = ", ".join(name for name in (names.aggregate_type, names.aggregate) if name is not None)
    return (
        ("database", f"{database.address.shown} ({server.product} {server.version})"),
        ("to", shown(spec.to)),
        ("topic", form.topic.text),
        ("key", form.key.text),
        ("headers", ", ".join(f"{name}={text.text}" for name, text in form.headers.items()) or "none"),
        *((("properties", ", ".join(f"{n}={t.text}" for n, t in form.properties.items())),) if form.properties else ()),
        ("body", form.body.text if form.body else f"{{{names.payload}}}"),
        *_order(outbox, order),
        ("sent", spec.then if spec.then != "mark" or outbox.sent is None else outbox.sent.shown),
        ("refused", spec.on_failed),
        ("slots", str(spec.slots)),
    )


def _order(outbox: Outbox, aggregate: str) -> Iterator[tuple[str, str]]:
    order = outbox.order
    yield "order", f"{order.shown} within each ({aggregate})" if order.kept else order.shown
    if order.kept and not order.numbered:
        yield "rests on", order.rests.value


def shown(to: str) -> str:
    """The destination without what may be a secret: user, password, token."""
    return re.sub(r"//[^/@]*@", "//", re.split(r"[?#]", to)[0]) if "://" in to else to
