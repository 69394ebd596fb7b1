"""A table as an outbox: which events are unsent, what keeps them in order, what marks them as sent."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from batchops.db.family import Family
from batchops.db.table import Table, quoted
from batchops.outboxes.names import Names


@dataclass(frozen=True)
class Outbox:
    """A table with the names of its columns, all of which are there."""

    family: Family
    table: Table
    names: Names
    message_id: str
    """The column that tells a consumer which event it has before it."""

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
        """What is kept in order, as one text: type and id of the aggregate."""
        events, names = self.family.events, self.names
        of_id = sa.func.coalesce(events.text(self.table, names.aggregate), "")
        if names.aggregate_type is None:
            return of_id
        of_type: sa.ColumnElement[str] = sa.func.coalesce(events.text(self.table, names.aggregate_type), "")
        return of_type.concat(":").concat(of_id)

    @cached_property
    def flagged(self) -> bool:
        """Whether it is marked that an event was sent, but not when."""
        return self.names.sent is not None and self.family.events.is_flag(self.table.column(self.names.sent))

    @cached_property
    def unsent(self) -> sa.ColumnElement[bool]:
        """The events that are to be sent; all that are there, where sent ones are taken away."""
        if self.names.sent is None:
            return sa.true()
        column = self.column(self.names.sent)
        if not self.flagged:
            return column.is_(None)
        no = self._no(self.names.sent)
        return sa.or_(no, column.is_(None)) if self.table.column(self.names.sent).nullable else no

    def marked(self) -> tuple[sa.ColumnElement[Any], Any]:
        """What marks an event as sent: a column and its value."""
        assert self.names.sent is not None
        column = self.column(self.names.sent)
        if self.flagged:
            yes = sa.true() if self._boolean(self.names.sent) else sa.literal_column("1")
            return column, yes
        return column, self.family.events.moment(self.table.column(self.names.sent))

    def among(self, ids: Sequence[Any]) -> Iterator[sa.ColumnElement[bool]]:
        """Conditions for events with one of `ids`, each as long as a statement may be."""
        return self.family.events.among(self.table, self.names.id, ids)

    def _boolean(self, name: str) -> bool:
        return self.table.column(name).type.lower().startswith("bool")

    def _no(self, name: str) -> sa.ColumnElement[bool]:
        column = self.column(name)
        return sa.not_(column) if self._boolean(name) else column == sa.literal_column("0")
