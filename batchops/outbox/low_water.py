"""The low-water mark of an outbox: no query reads again what was sent long ago.

A mark that merely followed the first unsent event would put an aggregate's events out of order: an event that is
committed late, behind the mark, would be skipped while a later one of its aggregate is sent. So the mark moves
only to where every transaction that could still bring an earlier event has been seen to end. That can be known of
numbers alone: in any other order (a time, a UUID) an event may come in anywhere at any moment, and there is no mark.
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
"""Seconds after which everything is looked at once: for numbers that were drawn before their transaction wrote."""
LOOK_SECONDS = 1.0
"""Seconds between two looks for where the front is."""


class OutboxLowWaterMark:
    """No event before `mark` is unsent or will be."""

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
        """A place, and the transactions that may still write before it."""
        self._looked_at = self._full_at = clock()
        self.full = True
        """Whether the look that `mark` was asked for last is at everything, for the first time or once a minute."""

    def mark(self) -> KeyValue | None:
        """Where a look may begin; None: at the very beginning."""
        due = self._clock() - self._full_at >= FULL_LOOK
        self.full = due or (self._mark is None and (self._outbox.order.numbered or not self._began))
        self._began = True
        if due:
            self.forget()
        return self._mark

    def forget(self) -> None:
        """Look at everything from now on, until the front is known again."""
        self._mark, self._candidate, self._full_at = None, None, self._clock()

    def look(self) -> None:
        """Find the front again, if it is time."""
        if not self._outbox.order.numbered or self._clock() - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = self._clock()
        with suppress(TransientError):
            self._look()

    def _look(self) -> None:
        """The first unsent event, then who writes, then the first one again: each statement sees the newest state.

        A transaction that commits between the first and the last is seen in the last; one that commits later was there
        when the writers were asked for.
        """
        with self._database.reading() as connection:
            before = self._first(connection)
            writers = self._database.backend.events.writers(connection, self._outbox.table)
            after = self._first(connection)
        if writers is None or before is None or after is None:
            return
        if self._candidate is not None and not self._candidate[1] & writers:
            # All have ended; what they wrote is seen by now.
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
    """An event's id as the number it is."""
    return int(key[0])


def earlier(one: KeyValue, other: KeyValue) -> KeyValue:
    """The smaller of two ids."""
    return min(one, other, key=number)
