"""Makes an outbox and its message mapping from names and templates; refuses what the table does not have."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from batchops.db.backend import Backend
from batchops.db.database import Database
from batchops.db.lookup import find_table, no_column
from batchops.db.table import Table
from batchops.errors import RefusedError, UsageError, did_you_mean
from batchops.outbox.columns import PURPOSES, USUAL, Names, recognised
from batchops.outbox.event_order import EventOrder
from batchops.outbox.mapping import MessageMapping
from batchops.outbox.outbox import Outbox
from batchops.outbox.resolve_order import NONE, event_order, warnings_of_order
from batchops.outbox.resolve_sent import SentChoice, choice_of, sent_column, warnings_of_sent
from batchops.outbox.sent_column import SentColumn
from batchops.outbox.spec import EventsSpec
from batchops.outbox.templates import Template, parse_template


@dataclass(frozen=True)
class Chosen:
    """The columns that the user named, by purpose. The others are recognised by their usual names."""

    columns: Mapping[str, str | None]
    message_id: str | None = None
    order: Sequence[str] | None = None
    sent: SentChoice = field(default_factory=SentChoice)

    @classmethod
    def of(cls, spec: EventsSpec) -> "Chosen":
        """Return the columns that a spec names."""
        values = spec.model_dump()
        return cls({purpose: values[purpose] for purpose in PURPOSES}, spec.message_id, spec.order, choice_of(values))


def find_outbox(connection: sa.Connection, database: Database, named: str, chosen: Chosen) -> Outbox:
    """Return the table as an outbox; raise BatchopsError if it cannot be one."""
    table = find_table(connection, database.backend, named)
    if table.kind not in ("table", "partitioned"):
        raise RefusedError(f'"{table.label}" is a {table.kind}, not a table.', "name the table behind it.")
    found = {purpose: _column(table, purpose, chosen.columns.get(purpose)) for purpose in PURPOSES}
    order = _order(connection, database.backend, table, found["id"] if chosen.columns.get("id") else None, chosen.order)
    if found["aggregate_id"] is None and (order.kept or not order.asked):
        raise UsageError(
            f'Table "{table.label}" has no column that is called {" or ".join(USUAL["aggregate_id"][:2])}.',
            "say which one it is: --aggregate-id COLUMN; if events need no order: --order none.",
        )
    names = Names(**found | {"id": order.columns[-1]})  # type: ignore[arg-type]  # the id exists
    message_id = _named(table, chosen.message_id, "--message-id") if chosen.message_id else names.id
    sent = _sent(connection, database.backend, table, names, chosen)
    return Outbox(database.backend, table, names, message_id, sent, order)


def mapping_of(spec: EventsSpec, outbox: Outbox, properties: Collection[str]) -> MessageMapping:
    """Return how messages are made; raise UsageError for a template that is invalid or names a missing column.

    `properties`: the names of the message properties that the destination has.
    """
    names = outbox.names
    key = f"{{{names.aggregate_id or outbox.message_id}}}"
    topic = f"{{{names.aggregate_type}}}" if names.aggregate_type else outbox.table.name
    usual = {"event_type": names.event_type, "aggregate_type": names.aggregate_type}
    headers = {name: f"{{{column}}}" for name, column in usual.items() if column is not None}
    headers |= dict(_named_text(text, "--header", "tenant={tenant_id}") for text in spec.header)
    mapping = MessageMapping(
        topic=_template(outbox, spec.topic if spec.topic is not None else topic, "--topic"),
        key=_template(outbox, spec.key if spec.key is not None else key, "--key"),
        headers={name: _template(outbox, text, "--header") for name, text in headers.items()},
        body=None if spec.body is None else _template(outbox, spec.body, "--body"),
        properties={name: _template(outbox, text, "--property") for name, text in _properties(spec, properties)},
        own_key=_template(outbox, f"{{{outbox.message_id}}}", "--key") if spec.key is None else None,
    )
    if mapping.body is None and names.payload is None:
        raise UsageError(
            f'Table "{outbox.table.label}" has no column that is called payload.', "give --payload COLUMN, or --body."
        )
    return mapping


def warnings_of(connection: sa.Connection, outbox: Outbox, mapping: MessageMapping) -> list[str]:
    """Return warnings about what may put events out of order, or leave them unsent."""
    names = outbox.names
    warnings = []
    own = (names.aggregate_id, names.aggregate_type)
    if outbox.order.kept and (more := [name for name in mapping.key.columns if name not in own]):
        warnings.append(
            f"--key depends on {', '.join(more)}: the destination keeps the order of an aggregate only if all its "
            "events have the same key."
        )
    warnings += warnings_of_order(connection, outbox.backend, outbox.table, outbox.order)
    if disorder := outbox.backend.events.disorder(connection, outbox.table, names.id):
        warnings.append(
            f"{disorder[0].upper()}{disorder[1:]}: events of one aggregate that several sessions write may be "
            "numbered in another order than they are written in."
        )
    return warnings + (list(warnings_of_sent(connection, outbox.sent, names.id)) if outbox.sent else [])


def _sent(
    connection: sa.Connection, backend: Backend, table: Table, names: Names, chosen: Chosen
) -> SentColumn | None:  # fmt: skip
    if names.sent is None:
        if chosen.sent.some:
            raise UsageError("Which column holds these values?", "say which one it is: --sent COLUMN.")
        return None
    time = _named(table, chosen.sent.sent_time, "--sent-time") if chosen.sent.sent_time else None
    column = table.column(names.sent)
    return sent_column(
        connection, backend, table, names.id, column, chosen.sent, None if time is None else table.column(time)
    )


def _order(
    connection: sa.Connection, backend: Backend, table: Table, id_: str | None, order: Sequence[str] | None
) -> EventOrder:  # fmt: skip
    if order is not None and [name.lower() for name in order] != [NONE]:
        order = [_named(table, name, "--order") for name in order]
    return event_order(connection, backend, table, id_, order)


def _column(table: Table, purpose: str, named: str | None) -> str | None:
    if named is not None:
        return _named(table, named, _flag(purpose))
    return recognised(table.column_names, purpose)


def _named(table: Table, named: str, flag: str) -> str:
    found = next((name for name in table.column_names if name.lower() == named.lower()), None)
    if found is None:
        raise no_column(flag, table, named)
    return found


def _template(outbox: Outbox, text: str, flag: str) -> Template:
    template = parse_template(text, flag)
    for name in template.columns:
        if name not in outbox.table.column_names:
            raise UsageError(
                f'{flag}: table "{outbox.table.label}" has no column "{name}".',
                did_you_mean(name, outbox.table.column_names) or f"it has {', '.join(outbox.table.column_names)}.",
            )
    return template


def _properties(spec: EventsSpec, known: Collection[str]) -> Iterator[tuple[str, str]]:
    for text in spec.property:
        name, template = _named_text(text, "--property", "type={event_type}")
        name = name.replace("-", "_")
        if not known:
            raise UsageError("--property: this destination has none.", "--header NAME=TEMPLATE adds a header.")
        if name not in known:
            raise UsageError(f'--property: there is no "{name}".', f"there are {', '.join(sorted(known))}.")
        yield name, template


def _named_text(text: str, flag: str, like: str) -> tuple[str, str]:
    name, equals, template = text.partition("=")
    if not equals or not name.strip() or not name.isascii() or not name.isprintable():
        raise UsageError(f'{flag}: "{text}" is not like NAME=TEMPLATE.', f"as in {flag} {like}.")
    return name.strip(), template


def _flag(purpose: str) -> str:
    return "--" + purpose.replace("_", "-")
