"""Records the results of a delivery: marks, deletes or moves sent events, and records refused ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.db.rights import Needs
from batchops.db.storable_text import reason_of, spelled
from batchops.db.table import Table, quoted
from batchops.db.value_formats import as_text
from batchops.errors import BatchopsError, DeniedError, MarkRefusedError, RefusedError, RowRefusedError
from batchops.outbox.failures import RefusedEvent, RefusedEvents, State
from batchops.outbox.outbox import Outbox
from batchops.outbox.sent_column import SentColumn
from batchops.outbox.shards import Shards
from batchops.runtime.bisect import FEW, by_halves

_AGAIN = "{} events were delivered but not marked, so they will be sent again; first let the table accept the mark."
_NOT_YET = "nothing was delivered. See --sent, --unsent-value, --sent-value and --after-delivery."


class AfterDelivery(Protocol):
    """What happens to events that were sent: they are marked, deleted or moved.

    An event that is no longer unsent stays as it is: another session has changed it since it was read.
    """

    def __call__(self, connection: sa.Connection, ids: Sequence[Any]) -> None:
        """Mark, delete or move the events with these ids."""

    def needs(self) -> Iterator[tuple[Table, Needs]]:
        """Yield the rights that this needs, by table."""


@dataclass(frozen=True)
class MarkSent:
    """Marks sent events, which stay in the outbox."""

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
class DeleteSent:
    """Deletes sent events."""

    outbox: Outbox

    def __call__(self, connection: sa.Connection, ids: Sequence[Any]) -> None:
        for mine in self.outbox.among(ids):
            connection.execute(sa.delete(self.outbox.table.called).where(mine, self.outbox.unsent))

    def needs(self) -> Iterator[tuple[Table, Needs]]:
        yield self.outbox.table, [("SELECT", ()), ("DELETE", ())]


@dataclass(frozen=True)
class MoveSent:
    """Moves sent events to another table with the same columns, and marks them there."""

    outbox: Outbox
    to: Table

    def __call__(self, connection: sa.Connection, ids: Sequence[Any]) -> None:
        outbox = self.outbox
        columns = [outbox.column(name) for name in outbox.table.writable_names]
        values: list[Any] = list(columns)
        if outbox.sent is not None:
            marks = {str(column.name): value for column, value in outbox.sent.marked()}
            values = [marks.get(str(column.name), column) for column in columns]
        names = [quoted(column.name) for column in columns]
        for mine in outbox.among(self._still_unsent(connection, ids)):
            moved = sa.select(*values).select_from(outbox.table.called).where(mine)
            connection.execute(sa.insert(self.to.clause).from_select(names, moved))
            connection.execute(sa.delete(outbox.table.called).where(mine))

    def _still_unsent(self, connection: sa.Connection, ids: Sequence[Any]) -> Sequence[Any]:
        """Return the ids of the unsent events. Both statements then mean the same rows, whatever changes meanwhile."""
        outbox = self.outbox
        if outbox.sent is None:
            return ids
        unsent = sa.select(outbox.id_out).select_from(outbox.table.called).where(outbox.unsent)
        return [row[0] for mine in outbox.among(ids) for row in connection.execute(unsent.where(mine))]

    def needs(self) -> Iterator[tuple[Table, Needs]]:
        columns = self.outbox.table.writable_names
        yield self.outbox.table, [("SELECT", columns), ("DELETE", ())]
        yield self.to, [("INSERT", columns)]


@dataclass(frozen=True)
class DeliveryRecord:
    """The results of one batch."""

    sent: Sequence[Any]
    """The ids of the sent events."""
    failures: Sequence[RefusedEvent]
    aggregates: Sequence[str] = ()
    """The aggregates of the sent events, in the same order."""


class DeliveryRecorder:
    """Records the results of a batch if this relay still owns its shards."""

    def __init__(
        self, database: Database, outbox: Outbox, shards: Shards, failures: RefusedEvents, after_delivery: AfterDelivery
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._shards = shards
        self._failures = failures
        self._after_delivery = after_delivery

    def __call__(self, record: DeliveryRecord) -> DeliveryRecord:
        """Record the results in one transaction, and return what was recorded.

        An event whose mark the table refuses becomes a dead letter. Raise MarkRefusedError if it refuses every mark,
        LockedError if another relay has taken over.
        """
        try:
            self._write(record)
        except (RowRefusedError, DeniedError) as error:
            record = self._without_refused(record, error)
            self._write(record)
        return record

    def rehearse(self, ids: Sequence[Any]) -> None:
        """Mark these events and roll that back; raise RefusedError if the table refuses every mark."""
        outbox, left = self._outbox, False
        with self._database.trying() as connection:
            if self._database.backend.claims.refusal(connection, outbox.table) is not None:
                return  # this table cannot roll the marks back
            refused = self._refused(connection, ids)
            taken = [id_ for id_ in ids if id_ not in refused]
            if not taken:
                raise RefusedError(_refusal(outbox, next(iter(refused.values()))), _NOT_YET)
            still = sa.select(sa.func.count()).select_from(outbox.table.called).where(outbox.unsent)
            left = any(connection.execute(still.where(mine)).scalar_one() for mine in outbox.among(taken))
        if left:
            raise RefusedError(
                f'Once it is marked as sent, an event of "{outbox.table.label}" still counts as unsent: a trigger, a '
                "rule or the column's type changes the mark.",
                _NOT_YET,
            )

    def _write(self, record: DeliveryRecord) -> None:
        sent = [as_text(id_) for id_ in record.sent] if self._failures.some else ()
        with self._database.transaction() as connection:
            self._shards.prove(connection)
            self._after_delivery(connection, record.sent)
            self._failures.forget(connection, sent)
            self._failures.record(connection, record.failures)
        self._failures.remember(record.failures, sent)

    def _without_refused(self, record: DeliveryRecord, error: BatchopsError) -> DeliveryRecord:
        """Return the record with dead letters for the events whose mark the table refuses.

        Those were delivered, and must not be sent again.
        """
        with self._database.trying() as connection:
            refused = self._refused(connection, record.sent)
            alone = len(refused) == len(record.sent)
            if alone and (len(refused) != 1 or not self._another_taken(connection, record.sent)):
                why = next(iter(refused.values()), error.message)
                raise MarkRefusedError(_refusal(self._outbox, why), _AGAIN.format(len(record.sent))) from error
        pairs = list(zip(record.sent, record.aggregates, strict=True))
        given_up = [
            RefusedEvent(as_text(id_), aggregate, State.DEAD_LETTER, 1, 0.0, _unmarked(refused[id_]))
            for id_, aggregate in pairs if id_ in refused
        ]  # fmt: skip
        kept = [(id_, aggregate) for id_, aggregate in pairs if id_ not in refused]
        return DeliveryRecord([id_ for id_, _ in kept], [*record.failures, *given_up], [one for _, one in kept])

    def _refused(self, connection: sa.Connection, ids: Sequence[Any]) -> dict[Any, str]:
        """Return the events whose mark the table refuses, with the reasons. The caller rolls the marks back."""

        def mark(some: Sequence[Any]) -> Sequence[str | None]:
            with self._database.savepoint(connection):
                self._after_delivery(connection, some)
            return [None] * len(some)

        self._database.backend.claims.check_at_once(connection)
        try:
            results = by_halves(ids, mark, _why)
        except DeniedError as error:
            return dict.fromkeys(ids, error.message)
        return {id_: why for id_, why in zip(ids, results, strict=True) if why is not None}

    def _another_taken(self, connection: sa.Connection, but: Sequence[Any]) -> bool:
        """Whether the table accepts the mark of one of the first other unsent events."""
        outbox = self._outbox
        query = sa.select(outbox.id_out).select_from(outbox.table.called).where(outbox.unsent).limit(FEW)
        for mine in outbox.among(but):
            query = query.where(sa.not_(mine))
        others = [row[0] for row in connection.execute(query)]
        return len(self._refused(connection, others)) < len(others)


def _why(error: Exception) -> str | None:
    """Return why the mark of one event is refused; None if the event is not at fault."""
    if isinstance(error, RowRefusedError):
        return spelled(error.message[:400])
    return None if isinstance(error, BatchopsError) else f"{type(error).__name__}: {reason_of(error)}"[:400]


def _unmarked(why: str) -> str:
    return f"It was delivered but not marked: {why}"[:400]


def _refusal(outbox: Outbox, why: str) -> str:
    return f'Table "{outbox.table.label}" refuses the mark of a sent event: {why}'
