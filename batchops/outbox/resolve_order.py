"""From the names that a person gave to the order of an outbox's events; what can tell none is refused."""

import re
from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from batchops.db.backend import Backend
from batchops.db.column_contents import Clock, Kind, sample
from batchops.db.table import Column, Table
from batchops.db.value_formats import as_text
from batchops.errors import RefusedError, UsageError
from batchops.outbox.columns import recognised
from batchops.outbox.event_order import EventOrder, OrderSource

NONE = "none"
"""How a person says that events stand by themselves."""
_RANDOM = re.compile(r"[0-9a-f]{12}[1345][0-9a-f]{3}[89ab][0-9a-f]{15}")
"""UUIDs of versions that do not sort by time; those of version 1 do so in a type that is made for it."""
_MADE_RANDOM = ("gen_random_uuid", "uuid_generate_v4", "uuidv4", "randomblob")
_RESTS = {
    Clock.EVENT: OrderSource.CLOCK, Clock.STATEMENT: OrderSource.STATEMENT, Clock.TRANSACTION: OrderSource.TRANSACTION,
    Clock.OTHER: OrderSource.APPLICATION,
}  # fmt: skip


def event_order(
    connection: sa.Connection, backend: Backend, table: Table, id_: str | None, order: Sequence[str] | None
) -> EventOrder:  # fmt: skip
    """By the column that a person calls the id, or a list of columns; BatchopsError where it can be none.

    Where neither was given, a number that the database gives is the order, and anything else is none.
    """
    key = _key(backend, table, id_)
    if order is not None and [name.lower() for name in order] == [NONE]:
        return EventOrder((key,), OrderSource.NOTHING)
    columns = list(order or ([id_] if id_ else [key]))
    if key in columns:
        columns = columns[: columns.index(key)]
    columns.append(key)
    first = table.column(columns[0])
    if len(columns) == 1 and backend.events.is_number(first):
        return EventOrder((key,), OrderSource.NUMBER)
    if order is None and id_ is None:
        return EventOrder((key,), OrderSource.NOTHING, asked=False)
    for name in columns:
        if refusal := backend.keys.refusal(table.column(name)):
            raise RefusedError(f'Events cannot be put in order by "{name}" of table "{table.label}": {refusal}.')
    if random(connection, backend, table, first, key):
        raise RefusedError(
            f'"{first.name}" of table "{table.label}" holds UUIDs of a version that has no order.',
            f"name columns that have one, as in --order {_guess(connection, backend, table) or 'created_at'},{key}; "
            "with --order "
            "none each event is sent by itself.",
        )
    return EventOrder(tuple(columns), _RESTS[backend.contents.clock(first)])


def warnings_of_order(connection: sa.Connection, backend: Backend, table: Table, order: EventOrder) -> Iterator[str]:
    """What of an aggregate's order cannot be relied on."""
    key = order.columns[-1]
    if not order.kept:
        if not order.asked:
            guess = _guess(connection, backend, table)
            hint = f"--order {guess},{key}" if guess else "--order COLUMN,COLUMN"
            yield (
                f'Nothing tells in what order events of "{table.label}" were written ("{key}" is '
                f"{table.column(key).type}): each is sent by itself, in no order. If a column tells the order: {hint}; "
                "if no order is needed: --order none."
            )
        return
    if order.numbered:
        return
    first = order.columns[0]
    if order.source is OrderSource.TRANSACTION:
        yield (
            f'"{first}" is the start of each transaction: of two that write to one aggregate, the one that started '
            "first "
            "may write last. DEFAULT clock_timestamp() gives the time of the write."
        )
    elif order.source is OrderSource.APPLICATION:
        yield f'The order is that of "{first}", which the applications write: it is as exact as their clocks.'
    if first != key and not backend.events.is_number(table.column(key)):
        yield f'Events of an aggregate with the same {", ".join(order.columns[:-1])} are ordered by "{key}".'
    if empty := [name for name in order.columns if table.column(name).nullable]:
        yield f"{', '.join(empty)} may be NULL: where it is, the place of such an event is unknown."


def random(connection: sa.Connection, backend: Backend, table: Table, column: Column, key: str) -> bool:
    """Whether the column holds UUIDs that do not sort by time, by its default or its last values."""
    if backend.contents.sorts_by_time(column):
        return False
    if any(word in (column.default or "").lower() for word in _MADE_RANDOM):
        return True
    if backend.contents.kind(connection, table, column) is Kind.TIME or backend.events.is_number(column):
        return False
    values = [as_text(value) for value in sample(connection, table, column.name, key) if value is not None]
    return len(values) > 1 and all(_RANDOM.fullmatch(value.replace("-", "").lower()) for value in values)


def _key(backend: Backend, table: Table, id_: str | None) -> str:
    """The column that names an event: the id, or the primary key where the id only tells an order."""
    named = id_ or recognised(table.column_names, "id")
    firsts = [key.columns[0] for key in table.keys if key.columns[0] in table.column_names]
    if named in firsts:
        return named
    whole = [key.columns[0] for key in table.keys if len(key.columns) == 1 and key.columns[0] in table.column_names]
    if whole and (named is None or not backend.events.is_number(table.column(named))):
        return whole[0]
    if named is None:
        raise UsageError(
            f'Table "{table.label}" has no column that is called id or event_id.', "say which one it is: --id COLUMN."
        )
    raise RefusedError(
        f'Table "{table.label}" has no primary key or unique index on "{named}".', f"add a unique index on {named}."
    )


def _guess(connection: sa.Connection, backend: Backend, table: Table) -> str | None:
    """The column that probably tells when an event was written."""
    name = recognised(table.column_names, "created_at")
    if name is None or backend.contents.kind(connection, table, table.column(name)) is not Kind.TIME:
        return None
    return name
