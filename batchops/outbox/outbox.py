"""A table used as an outbox: which events are unsent, what orders them, and what marks them as sent."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from batchops.db.backend import Backend
from batchops.db.table import Table, quoted
from batchops.db.types import KeyValue
from batchops.outbox.columns import Names
from batchops.outbox.event_order import EventOrder
from batchops.outbox.sent_column import SentColumn


@dataclass(frozen=True)
class Outbox:
    """A table of events with the names of its columns, all of which exist."""

    backend: Backend
    table: Table
    names: Names
    message_id: str
    """The column by which a consumer recognises an event."""
    sent: SentColumn | None
    """The column that tells which events were sent; None if there is none."""
    order: EventOrder

    def column(self, name: str) -> sa.ColumnElement[Any]:
        """Return a column of the table."""
        return self.table.called.c[quoted(name)]

    @cached_property
    def ordering(self) -> list[sa.ColumnElement[Any]]:
        """Return the expressions to order events by."""
        return [self.backend.keys.order(self.table, name) for name in self.order.columns]

    @cached_property
    def place_out(self) -> list[sa.ColumnElement[Any]]:
        """Return the columns to read an event's place in the order."""
        return [self.backend.keys.out(self.table, name) for name in self.order.columns]

    def after(self, place: KeyValue) -> sa.ColumnElement[bool]:
        """Return the condition for events after a place."""
        return self.backend.keys.after(self.table, self.order.columns, place)

    def upto(self, place: KeyValue) -> sa.ColumnElement[bool]:
        """Return the condition for events up to a place."""
        return self.backend.keys.upto(self.table, self.order.columns, place)

    def since(self, place: KeyValue) -> sa.ColumnElement[bool]:
        """Return the condition for events from a place on."""
        return self.backend.keys.since(self.table, self.order.columns, place)

    @cached_property
    def id_out(self) -> sa.ColumnElement[Any]:
        """Return the column to read the id."""
        return self.backend.keys.out(self.table, self.names.id)

    @cached_property
    def aggregate(self) -> sa.ColumnElement[str]:
        """Return the aggregate as one text: its type and id, or the event's own id if it has no aggregate."""
        events, names = self.backend.events, self.names
        itself = sa.literal_column("'event '").concat(events.text(self.table, names.id))
        if names.aggregate_id is None or not self.order.kept:
            return itself
        of_id = events.text(self.table, names.aggregate_id)
        if names.aggregate_type is None:
            return sa.func.coalesce(of_id, itself)
        of_type: sa.ColumnElement[str] = sa.func.coalesce(events.text(self.table, names.aggregate_type), "")
        return sa.func.coalesce(of_type.concat(":").concat(of_id), itself)

    @property
    def unsent(self) -> sa.ColumnElement[bool]:
        """Return the condition for unsent events; it holds for all events if no column tells which were sent."""
        return sa.true() if self.sent is None else self.sent.unsent

    def among(self, ids: Sequence[Any]) -> Iterator[sa.ColumnElement[bool]]:
        """Yield conditions for the events with these ids, each short enough for one statement."""
        if self.backend.events.is_number(self.table.column(self.names.id)):
            yield from self.backend.events.among(self.table, self.names.id, ids)
            return
        keys = [(id_,) for id_ in ids]
        for start in range(0, len(keys), self.backend.keys.longest_list):
            yield self.backend.keys.among(
                self.table, (self.names.id,), keys[start : start + self.backend.keys.longest_list]
            )
