"""What became of events, written down: the sent ones are marked, deleted or moved, the refused ones recorded."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.db.rights import Needs
from batchops.db.table import Table, quoted
from batchops.db.wire import as_text
from batchops.errors import RefusedError, RowRefusedError
from batchops.outboxes.failures import Failure, Failures
from batchops.outboxes.outbox import Outbox
from batchops.outboxes.sent import SentColumn
from batchops.outboxes.slots import Shards

_NOT_YET = "nothing was delivered. See --sent, --unsent-value, --sent-value and --then."


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
    sent: SentColumn

    def __call__(self, connection: sa.Connection, ids: Sequence[Any]) -> None:
        outbox, sent = self.outbox, self.sent
        marking = sa.update(outbox.table.called).ordered_values(*sent.marked()).where(sent.unsent)
        for mine in outbox.among(ids):
            connection.execute(marking.where(mine))

    def needs(self) -> Iterator[tuple[Table, Needs]]:
        marks = [str(column.name) for column, _ in self.sent.marked()]
        yield self.outbox.table, [("SELECT", ()), ("UPDATE", marks)]


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
        if outbox.sent is not None:
            marks = {str(column.name): value for column, value in outbox.sent.marked()}
            values = [marks.get(str(column.name), column) for column in columns]
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

    def __init__(self, database: Database, outbox: Outbox, shards: Shards, failures: Failures, then: Then) -> None:
        self._database = database
        self._outbox = outbox
        self._shards = shards
        self._failures = failures
        self._then = then

    def __call__(self, settled: Settled) -> None:
        """One transaction; LockedError where another relay has taken over."""
        sent = [as_text(id_) for id_ in settled.sent] if self._failures.some else ()
        with self._database.transaction() as connection:
            self._shards.prove(connection)
            self._then(connection, settled.sent)
            self._failures.forget(connection, sent)
            self._failures.record(connection, settled.failures)
        self._failures.remember(settled.failures, sent)

    def rehearse(self, ids: Sequence[Any]) -> None:
        """Mark these and roll that back; RefusedError where the table would refuse it once they are delivered."""
        outbox, left = self._outbox, False
        try:
            with suppress(_UndoneError), self._database.transaction() as connection:
                if self._database.family.claims.refusal(connection, outbox.table) is not None:
                    return  # nothing is rolled back there
                self._then(connection, ids)
                still = sa.select(sa.func.count()).select_from(outbox.table.called).where(outbox.unsent)
                left = any(connection.execute(still.where(mine)).scalar_one() for mine in outbox.among(ids))
                raise _UndoneError
        except RowRefusedError as error:
            raise RefusedError(
                f'Table "{outbox.table.label}" refuses what is done with a sent event: {error.message}', _NOT_YET
            ) from error
        if left:
            raise RefusedError(
                f'Once it is marked as sent, an event of "{outbox.table.label}" still counts as unsent: a trigger, a '
                "rule or the column's type changes the mark.",
                _NOT_YET,
            )


class _UndoneError(Exception):
    """Rolls a rehearsal back."""
