"""Finds the order of an outbox's events from the columns that the user named; refuses columns without an order."""

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
"""The value of --order for events without an order."""
_RANDOM = re.compile(r"[0-9a-f]{12}[1345][0-9a-f]{3}[89ab][0-9a-f]{15}")
"""UUIDs of versions that do not sort by time. Those of version 1 do only in a type that is made for it."""
_MADE_RANDOM = ("gen_random_uuid", "uuid_generate_v4", "uuidv4", "randomblob")
_SOURCES = {
    Clock.EVENT: OrderSource.CLOCK, Clock.STATEMENT: OrderSource.STATEMENT, Clock.TRANSACTION: OrderSource.TRANSACTION,
    Clock.OTHER: OrderSource.APPLICATION,
}  # fmt: skip


def event_order(
    connection: sa.Connection, backend: Backend, table: Table, id_: str | None, order: Sequence[str] | None
) -> EventOrder:  # fmt: skip
    """Return the order by the id that the user named, or by a list of columns.

    Without either, events are ordered by the id if it is a number that the database gives, else not at all. Raise
    BatchopsError if the columns cannot order events.
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
    return EventOrder(tuple(columns), _SOURCES[backend.contents.clock(first)])


def warnings_of_order(connection: sa.Connection, backend: Backend, table: Table, order: EventOrder) -> Iterator[str]:
    """Yield warnings about cases in which the order of an aggregate's events is not certain."""
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
    """Whether the column's default or last values show that it holds UUIDs that do not sort by time."""
    if backend.contents.sorts_by_time(column):
        return False
    if any(word in (column.default or "").lower() for word in _MADE_RANDOM):
        return True
    if backend.contents.kind(connection, table, column) is Kind.TIME or backend.events.is_number(column):
        return False
    values = [as_text(value) for value in sample(connection, table, column.name, key) if value is not None]
    return len(values) > 1 and all(_RANDOM.fullmatch(value.replace("-", "").lower()) for value in values)


def _key(backend: Backend, table: Table, id_: str | None) -> str:
    """Return the column that identifies an event: the id, or the primary key if the id only gives an order."""
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
    if table.column(named).nullable:  # also a primary key's column, in SQLite
        raise RefusedError(
            f'Column "{named}" of table "{table.label}" may be NULL, so it does not identify every event.',
            f"make {named} NOT NULL, with a primary key or unique index, or name another column: --id COLUMN.",
        )
    raise RefusedError(
        f'Table "{table.label}" has no primary key or unique index on "{named}".', f"add a unique index on {named}."
    )


def _guess(connection: sa.Connection, backend: Backend, table: Table) -> str | None:
    """Return the column that probably holds the time at which an event was written; None if there is none."""
    name = recognised(table.column_names, "created_at")
    if name is None or backend.contents.kind(connection, table, table.column(name)) is not Kind.TIME:
        return None
    return name
