"""A table as an outbox: which events are unsent, what keeps them in order, what marks them as sent."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from batchops.db.family import Family
from batchops.db.table import Table, quoted
from batchops.outboxes.names import Names
from batchops.outboxes.sent import SentColumn


@dataclass(frozen=True)
class Outbox:
    """A table with the names of its columns, all of which are there."""

    family: Family
    table: Table
    names: Names
    message_id: str
    """The column that tells a consumer which event it has before it."""
    sent: SentColumn | None
    """None: no column tells which events were sent."""

    def column(self, name: str) -> sa.ColumnElement[Any]:
        """A column of the table."""
        return self.table.called.c[quoted(name)]

    @cached_property
    def id(self) -> sa.ColumnElement[Any]:
        """The id as it is compared and put in order."""
        return self.family.key_order(self.table, self.names.id)

    @cached_property
    def id_out(self) -> sa.ColumnElement[Any]:
        """The id as it is read."""
        return self.family.key_out(self.table, self.names.id)

    @cached_property
    def aggregate(self) -> sa.ColumnElement[str]:
        """What is kept in order, as one text: type and id of the aggregate. An event without one stands for itself."""
        events, names = self.family.events, self.names
        itself = sa.literal_column("'event '").concat(events.text(self.table, names.id))
        of_id = events.text(self.table, names.aggregate)
        if names.aggregate_type is None:
            return sa.func.coalesce(of_id, itself)
        of_type: sa.ColumnElement[str] = sa.func.coalesce(events.text(self.table, names.aggregate_type), "")
        return sa.func.coalesce(of_type.concat(":").concat(of_id), itself)

    @property
    def unsent(self) -> sa.ColumnElement[bool]:
        """The events that are to be sent; all that are there, where sent ones are taken away."""
        return sa.true() if self.sent is None else self.sent.unsent

    def among(self, ids: Sequence[Any]) -> Iterator[sa.ColumnElement[bool]]:
        """Conditions for events with one of `ids`, each as long as a statement may be."""
        return self.family.events.among(self.table, self.names.id, ids)
