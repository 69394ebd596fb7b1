"""The low-water mark of an outbox, so that no query reads again what was sent long ago.

A mark that followed the first unsent event would put an aggregate's events out of order. An event committed late,
below the mark, would be skipped, and a later one of its aggregate sent. So the mark moves only once every transaction
that could still write an event below it has ended. This is known for numbers only: in any other order (a time, a UUID)
an event may appear anywhere at any time, and there is no mark.
"""

import time
from collections.abc import Callable
from contextlib import suppress

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.db.types import KeyValue
from batchops.errors import TransientError
from batchops.outbox.failures import RefusedEvents
from batchops.outbox.outbox import Outbox

FULL_LOOK = 60.0
"""Seconds between two reads from the start: for numbers that were drawn before their transaction wrote."""
LOOK_SECONDS = 1.0
"""Seconds between two searches for the first unsent event, to move the mark."""


class OutboxLowWaterMark:
    """Finds the mark below which no event is unsent, or will be."""

    def __init__(
        self, database: Database, outbox: Outbox, failures: RefusedEvents, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._failures = failures
        self._clock = clock
        self._mark: KeyValue | None = None
        self._began = False
        self._candidate: tuple[KeyValue, frozenset[str]] | None = None
        """A place for the mark, and the transactions that may still write below it."""
        self._looked_at = self._full_at = clock()
        self.full = True
        """Whether the read after the last call of `mark` is a full one: the first, or once a minute."""

    def mark(self) -> KeyValue | None:
        """Return the place where reading may begin; None: at the start."""
        due = self._clock() - self._full_at >= FULL_LOOK
        self.full = due or (self._mark is None and (self._outbox.order.numbered or not self._began))
        self._began = True
        if due:
            self.forget()
        return self._mark

    def forget(self) -> None:
        """Read from the start from now on, until the mark is found again."""
        self._mark, self._candidate, self._full_at = None, None, self._clock()

    def look(self) -> None:
        """Try to move the mark, if it is time."""
        if not self._outbox.order.numbered or self._clock() - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = self._clock()
        with suppress(TransientError):
            self._look()

    def _look(self) -> None:
        """Read the first unsent event, the writing transactions, and the first unsent event again.

        Each statement sees the newest state. If a transaction commits between the first statement and the last, the
        last one sees its events. If it commits later, it is among the writers.
        """
        with self._database.reading() as connection:
            before = self._first(connection)
            writers = self._database.backend.events.writers(connection, self._outbox.table)
            after = self._first(connection)
        if writers is None or before is None or after is None:
            return
        if self._candidate is not None and not self._candidate[1] & writers:
            # All have ended, so what they wrote is visible.
            self._mark = earlier(self._candidate[0], after)
            self._candidate = None
        if self._candidate is None:
            self._candidate = (earlier(before, after), writers)

    def _first(self, connection: sa.Connection) -> KeyValue | None:
        outbox = self._outbox
        query = sa.select(outbox.id_out).select_from(outbox.table.called).where(outbox.unsent, *self._failures.alive())
        if self._mark is not None:
            query = query.where(outbox.since(self._mark))
        row = connection.execute(query.order_by(*outbox.ordering).limit(1)).first()
        return None if row is None else (row[0],)


def number(key: KeyValue) -> int:
    """Return an event's id as a number."""
    return int(key[0])


def earlier(one: KeyValue, other: KeyValue) -> KeyValue:
    """Return the smaller of two ids."""
    return min(one, other, key=number)
