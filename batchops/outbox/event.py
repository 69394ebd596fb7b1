"""Writes events to an outbox, in the transaction of the change that they describe.

    with engine.begin() as connection:
        connection.execute(...)
        outbox.save(connection, outbox.Event("order", order_id, "Paid", {"total": 3}))

The event is saved if and only if the change is. `batchops relay` delivers it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from batchops.db.user_connection import UserConnection
from batchops.errors import UsageError
from batchops.outbox.columns import Names

__all__ = ["Event", "Names", "save"]


@dataclass(frozen=True)
class Event:
    """Something that happened to an aggregate. The events of one aggregate are delivered in order."""

    aggregate_type: str
    aggregate_id: Any
    event_type: str
    payload: Any
    """Text and bytes are stored unchanged, anything else as JSON."""
    headers: Mapping[str, str] | None = None


def save(
    connection: Any, events: Event | Sequence[Event], *, table: str = "outbox", names: Names | None = None,
    lock: bool = False,
) -> None:  # fmt: skip
    """Write the events in the caller's own transaction, which this neither begins nor ends.

    `connection` is SQLAlchemy's Connection or Session, or a connection of psycopg, PyMySQL or sqlite3. `names`:
    the columns' names in a table that was not made by `batchops outbox init`.

    The order of an aggregate's events is the order of their numbers. So a writer must lock the aggregate, usually its
    row, before it writes an event. `lock=True` does that: until this transaction ends, other writers with `lock=True`
    wait before they write events of these aggregates. Raise UsageError outside a transaction.
    """
    several = [events] if isinstance(events, Event) else list(events)
    if not several:
        return
    user_connection, columns = UserConnection(connection), names or Names()
    user_connection.check()
    _check_bytes(user_connection, several, table, columns.payload)
    if lock:
        _wait_for_turn(user_connection, several)
    for shape, rows in groupby((_values(event, columns) for event in several), key=tuple):
        user_connection.insert(table, shape, [list(row.values()) for row in rows])


def _check_bytes(user_connection: UserConnection, events: Sequence[Event], table: str, column: str | None) -> None:
    binary = any(isinstance(event.payload, bytes) for event in events)
    if binary and column is not None and not user_connection.takes_bytes(table, column):
        raise UsageError(
            f'Column "{column}" of table "{table}" holds text, and the payload is bytes.',
            "give text, or make the outbox with --payload binary.",
        )


def _wait_for_turn(user_connection: UserConnection, events: Sequence[Event]) -> None:
    writer_lock = user_connection.events.writer_lock(
        [f"{event.aggregate_type}:{event.aggregate_id}" for event in events]
    )
    if writer_lock is None:
        return  # the database has one writer at a time
    sql, values = writer_lock
    if user_connection.events.lock_rows and len(user_connection.fetch(sql, values)) != len(values):
        raise UsageError(
            "lock=True needs the rows of the table batchops_writer_lock, which are not all there.",
            "have them made: batchops outbox init --apply.",
        )
    if not user_connection.events.lock_rows:
        user_connection.fetch(sql, values)


def _values(event: Event, names: Names) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if names.aggregate_id is not None:
        values[names.aggregate_id] = str(event.aggregate_id)
    if names.aggregate_type is not None:
        values[names.aggregate_type] = event.aggregate_type
    if names.event_type is not None:
        values[names.event_type] = event.event_type
    if names.payload is not None:
        values[names.payload] = _content(event.payload)
    if event.headers is not None:
        if names.headers is None:
            raise UsageError("The event has headers, and the outbox has no column for them.")
        values[names.headers] = json.dumps(dict(event.headers))
    return values


def _content(payload: Any) -> str | bytes:
    return payload if isinstance(payload, str | bytes) else json.dumps(payload)
