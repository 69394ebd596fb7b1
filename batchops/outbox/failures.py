"""Events that a destination refused: what becomes of each, and the table that records them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.db.storable_text import ForeignText
from batchops.outbox.outbox import Outbox
from batchops.outbox.sinks import Refused
from batchops.runtime.backoff import LONGEST_PAUSE, RetryPolicy


class State(StrEnum):
    """What becomes of a refused event, and of the later events of its aggregate."""

    WAITING = "waiting"
    """A relay tries the event again; later events of its aggregate wait."""
    HELD = "held"
    """The event waits for a redrive; later events of its aggregate wait too."""
    DEAD_LETTER = "dead"
    """The event waits for a redrive; later events of its aggregate are sent."""


def _state(table: sa.Table) -> sa.ColumnElement[str]:
    """Return a row's state by its current name: an earlier version wrote "parked" for HELD, without a version."""
    # Literals: with parameters PostgreSQL would not recognise the same expression in GROUP BY.
    earlier: sa.ColumnElement[bool] = table.c.state == sa.literal_column("'parked'")
    return sa.case((earlier, sa.literal_column(f"'{State.HELD}'", sa.String())), else_=table.c.state)


@dataclass(frozen=True)
class RefusedEvent:
    """A refused event, as the table records it."""

    event: str
    """The id of the event."""
    aggregate: str
    state: State
    attempts: int
    pause: float
    """Seconds until the next attempt; 0 if there is none."""
    reason: str


class RefusedEvents:
    """The refused events of one outbox."""

    def __init__(self, database: Database, table: sa.Table, outbox: Outbox) -> None:
        self._backend = database.backend
        self._table = table
        self._state = _state(table)
        self._outbox = outbox
        self._relation = outbox.table.label
        self._storable = ForeignText(database.backend.own_tables, table.schema, table.name, "failure")
        self._attempts: dict[str, int] = {}
        self._dead = False
        """Whether there is any dead letter."""

    def load(self, connection: sa.Connection) -> None:
        """Read the refused events again: some may have been redriven.

        Dead letters are not tried again, so this reads only whether there are any.
        """
        columns = self._table.c
        dead = self._state == State.DEAD_LETTER
        rows = connection.execute(sa.select(columns.event, columns.attempts).where(self._its(), sa.not_(dead)))
        self._attempts = {row.event: row.attempts for row in rows}
        one: sa.Select[Any] = (
            sa.select(sa.literal_column("1")).select_from(self._table).where(self._its(), dead).limit(1)
        )
        self._dead = connection.execute(one).first() is not None

    @property
    def some(self) -> bool:
        """Whether there are refused events, as of the last `load`."""
        return bool(self._attempts) or self._dead

    @property
    def holding(self) -> bool:
        """Whether a refused event holds back its aggregate, as of the last `load`."""
        return bool(self._attempts)

    def attempts(self, event: str) -> int:
        """Return how often the event was refused before."""
        return self._attempts.get(event, 0)

    def sendable(self) -> list[sa.ColumnElement[bool]]:
        """Return conditions for events that may be sent now: no refused event of their aggregate holds them back.

        The list is empty if there are no refused events.
        """
        if not self._attempts:
            return self.alive()
        columns = self._table.c
        held = sa.or_(self._state == State.HELD, columns.next_at > self._backend.own_tables.epoch())
        its_aggregate = columns.aggregate == self._outbox.aggregate
        return [*self.alive(), self._none(its_aggregate, self._state != State.DEAD_LETTER, held)]

    def alive(self) -> list[sa.ColumnElement[bool]]:
        """Return conditions for events that are not dead letters."""
        if not self._dead:
            return []
        name = self._outbox.backend.events.text(self._outbox.table, self._outbox.names.id)
        return [self._none(self._table.c.event == name, self._state == State.DEAD_LETTER)]

    def record(self, connection: sa.Connection, failures: Sequence[RefusedEvent]) -> None:
        """Record refused events."""
        self.forget(connection, [failure.event for failure in failures])
        now = self._backend.own_tables.epoch()
        for one in failures:
            values = {
                "relation": self._relation, "event": one.event, "aggregate": one.aggregate, "state": one.state.value,
                "attempts": one.attempts, "failure": self._storable(connection, one.reason), "next_at": now + one.pause,
            }  # fmt: skip
            connection.execute(sa.insert(self._table).values(**values))

    def forget(self, connection: sa.Connection, events: Collection[str]) -> None:
        """Delete the records of those events that were refused before: they were sent now, or are recorded again."""
        known = [event for event in events if event in self._attempts]
        if known:
            connection.execute(sa.delete(self._table).where(self._its(), self._table.c.event.in_(known)))

    def remember(self, failures: Sequence[RefusedEvent], sent: Collection[str]) -> None:
        """Note what was recorded, once that is durable."""
        if not failures and not self._attempts:
            return
        for event in sent:
            self._attempts.pop(event, None)
        for failure in failures:
            if failure.state is State.DEAD_LETTER:
                self._attempts.pop(failure.event, None)
                self._dead = True
            else:
                self._attempts[failure.event] = failure.attempts

    def next_due(self, connection: sa.Connection) -> float | None:
        """Return the seconds until the next attempt of any event; None if none waits."""
        left = sa.func.min(self._table.c.next_at) - self._backend.own_tables.epoch()
        found = connection.execute(sa.select(left).where(self._its(), self._state == State.WAITING)).scalar()
        return None if found is None else float(found)

    def by_state(self, connection: sa.Connection) -> Mapping[State, int]:
        """Return how many refused events are in each state."""
        query = sa.select(self._state, sa.func.count()).where(self._its()).group_by(self._state)
        rows = connection.execute(query)
        return {State(row[0]): row[1] for row in rows}

    def listed(self, connection: sa.Connection, most: int) -> list[RefusedEvent]:
        """Return the first refused events, dead letters last. Their `pause` is the time left until the next attempt."""
        columns = self._table.c
        left = (columns.next_at - self._backend.own_tables.epoch()).label("left")
        last = sa.case((self._state == State.DEAD_LETTER, 1), else_=0)
        query = sa.select(self._table, left, self._state.label("now")).where(self._its())
        return [
            RefusedEvent(r.event, r.aggregate, State(r.now), r.attempts, float(r.left), r.failure)
            for r in connection.execute(query.order_by(last, columns.next_at).limit(most))
        ]

    def named(self, connection: sa.Connection, events: Sequence[str] | None) -> list[str]:
        """Return the ids of refused events among these; None means all."""
        query = sa.select(self._table.c.event).where(self._its()).order_by(self._table.c.next_at, self._table.c.event)
        query = query if events is None else query.where(self._table.c.event.in_(events))
        return list(connection.execute(query).scalars())

    def redrive(self, connection: sa.Connection, events: Sequence[str] | None) -> int:
        """Delete the records of these refused events, so that a relay tries them again; None means all.

        Return how many there were.
        """
        statement = sa.delete(self._table).where(self._its())
        if events is not None:
            statement = statement.where(self._table.c.event.in_(events))
        return connection.execute(statement).rowcount

    def _none(self, *where: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
        there: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(self._table).where(self._its(), *where)
        return sa.not_(sa.exists(there.correlate(self._outbox.table.called)))

    def _its(self) -> sa.ColumnElement[bool]:
        return self._table.c.relation == self._relation


OnFailed = Literal["wait", "hold-key", "dead-letter"]
_GIVEN_UP = {"hold-key": State.HELD, "dead-letter": State.DEAD_LETTER}


@dataclass(frozen=True)
class FailurePolicy:
    """What happens to a refused event. With `wait` it is tried again without limit, else up to its last attempt."""

    on_failed: OnFailed
    attempts: RetryPolicy

    def __call__(self, event: str, aggregate: str, refused: Refused, before: int) -> RefusedEvent:
        """Return the record of an event that was refused, and `before` times before."""
        tried = before + 1
        state = State.WAITING
        if refused.final or self.attempts.used_up(tried):
            state = _GIVEN_UP.get(self.on_failed, State.WAITING)
        return RefusedEvent(
            event=event,
            aggregate=aggregate,
            state=state,
            attempts=tried,
            pause=self._pause(refused, tried) if state is State.WAITING else 0.0,
            reason=refused.reason[:400],
        )

    def _pause(self, refused: Refused, tried: int) -> float:
        if refused.after is not None:
            return max(refused.after, 0.0)
        return LONGEST_PAUSE if refused.final else self.attempts.pause(tried)
