"""The status of an outbox: how many events are unsent, for how long, and what blocks them."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from batchops import durations, events
from batchops.outbox.failures import RefusedEvent, RefusedEvents, State
from batchops.outbox.outbox import Outbox
from batchops.runtime.counters import Counts
from batchops.spec.command_line import joined


@dataclass(frozen=True)
class OutboxStatus:
    """Reads the status of an outbox."""

    outbox: Outbox
    failures: RefusedEvents

    def counts(self, connection: sa.Connection) -> Counts:
        """Return the counts; `waiting` are the events that a refused event of their aggregate holds back."""
        free, oldest = self._count(connection, self.failures.sendable())
        held = 0
        if self.failures.some:
            held = self._count(connection, self.failures.alive())[0] - free
        return Counts(
            backlog=free, waiting=held, oldest=oldest, next_due=self.failures.next_due(connection) if held else None
        )

    def refusal(self, connection: sa.Connection) -> events.Failure | None:
        """Return what was refused and how to continue; None if nothing was refused."""
        first = next(iter(self.failures.listed(connection, 1)), None)
        if first is None:
            return None
        states = self.failures.by_state(connection)
        many = sum(states.values()) - states.get(State.DEAD_LETTER, 0) or states[State.DEAD_LETTER]
        which = f"event {first.event} of {first.aggregate}"
        text = f"{which} was refused" if many == 1 else f"{many:,} events were refused, the first of them {which}"
        redrive = joined(["batchops", "outbox", "redrive", self.outbox.table.label, "--event", first.event])
        hint = f"{_afterwards(first)} Once its cause is fixed: {redrive}; then relay again."
        return events.Failure("incomplete", f"{text[0].upper()}{text[1:]}: {first.reason.rstrip('.')}.", hint)

    def _count(self, connection: sa.Connection, where: list[sa.ColumnElement[bool]]) -> tuple[int, float | None]:
        outbox, created = self.outbox, self.outbox.names.created_at
        age: sa.ColumnElement[Any] | None = None
        if created is not None:
            oldest = sa.func.min(outbox.column(created))
            age = outbox.backend.claims.age(outbox.table.column(created), oldest)
        query: sa.Select[Any] = sa.select(sa.func.count(), sa.null() if age is None else age)
        row = connection.execute(query.select_from(outbox.table.called).where(outbox.unsent, *where)).one()
        return int(row[0]), None if row[1] is None else max(0.0, float(row[1]))


def _afterwards(failure: RefusedEvent) -> str:
    match failure.state:
        case State.WAITING:
            again = durations.show(max(0.0, failure.pause))
            return f"later events of its aggregate wait; a relay tries it again in {again}."
        case State.HELD:
            return "later events of its aggregate wait until somebody puts it back."
        case State.DEAD_LETTER:
            return "later events of its aggregate were sent without it."
