"""What became of events, written down: the sent ones are marked, deleted or moved, the refused ones recorded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.db.rights import Needs
from batchops.db.table import Table, quoted
from batchops.outboxes.failures import Failure, Failures
from batchops.outboxes.outbox import Outbox
from batchops.outboxes.slots import Shards


class Then(Protocol):
    """What is done with events that were sent."""

    def __call__(self, connection: sa.Connection, ids: Sequence[Any]) -> None:
        """Do it to those with one of `ids` that are still unsent."""

    def needs(self) -> Iterator[tuple[Table, Needs]]:
        """The rights that it takes, by table."""


@dataclass(frozen=True)
class Mark:
    """They stay, marked."""

    outbox: Outbox

    def __call__(self, connection: sa.Connection, ids: Sequence[Any]) -> None:
        outbox = self.outbox
        marking = sa.update(outbox.table.called).ordered_values(outbox.marked()).where(outbox.unsent)
        for mine in outbox.among(ids):
            connection.execute(marking.where(mine))

    def needs(self) -> Iterator[tuple[Table, Needs]]:
        assert self.outbox.names.sent is not None
        yield self.outbox.table, [("SELECT", ()), ("UPDATE", (self.outbox.names.sent,))]


@dataclass(frozen=True)
class Delete:
    """They are deleted."""

    outbox: Outbox

    def __call__(self, connection: sa.Connection, ids: Sequence[Any]) -> None:
        for mine in self.outbox.among(ids):
            connection.execute(sa.delete(self.outbox.table.called).where(mine))

    def needs(self) -> Iterator[tuple[Table, Needs]]:
        yield self.outbox.table, [("SELECT", ()), ("DELETE", ())]


@dataclass(frozen=True)
class Move:
    """They go to another table of the same columns, marked there too."""

    outbox: Outbox
    to: Table

    def __call__(self, connection: sa.Connection, ids: Sequence[Any]) -> None:
        outbox = self.outbox
        columns = [outbox.column(column.name) for column in outbox.table.columns if not column.generated]
        values: list[Any] = list(columns)
        if outbox.names.sent is not None:
            sent, value = outbox.marked()
            values = [value if column is sent else column for column in columns]
        names = [quoted(column.name) for column in columns]
        for mine in outbox.among(ids):
            moved = sa.select(*values).select_from(outbox.table.called).where(mine)
            connection.execute(sa.insert(self.to.clause).from_select(names, moved))
            connection.execute(sa.delete(outbox.table.called).where(mine))

    def needs(self) -> Iterator[tuple[Table, Needs]]:
        columns = [column.name for column in self.outbox.table.columns if not column.generated]
        yield self.outbox.table, [("SELECT", columns), ("DELETE", ())]
        yield self.to, [("INSERT", columns)]


@dataclass(frozen=True)
class Settled:
    """What is to be written down of one batch."""

    sent: Sequence[Any]
    """Ids."""
    failures: Sequence[Failure]


class Settling:
    """Writes it down where this relay's shards are still its own."""

    def __init__(self, database: Database, shards: Shards, failures: Failures, then: Then) -> None:
        self._database = database
        self._shards = shards
        self._failures = failures
        self._then = then

    def __call__(self, settled: Settled) -> None:
        """One transaction; LockedError where another relay has taken over."""
        sent = [str(id_) for id_ in settled.sent] if self._failures.some else ()
        with self._database.transaction() as connection:
            self._shards.prove(connection)
            self._then(connection, settled.sent)
            self._failures.forget(connection, sent)
            self._failures.record(connection, settled.failures)
        self._failures.remember(settled.failures, sent)
