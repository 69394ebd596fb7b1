"""What a place to keep leases in must offer."""

from collections.abc import Collection, Sequence
from typing import Protocol

import sqlalchemy as sa

from batchops.db.claims import MarkedLater
from batchops.db.types import KeyValue
from batchops.queue.queue import Assignments, Row
from batchops.queue.rows import Savepoint
from batchops.runtime.counters import Counts

NEVER = 1e15
"""The `next_at` of a row that is not tried again until a person says so."""
DeadLetter = tuple[Row, str]


class Leases(Protocol):
    """Who holds which row until when, and how often it was tried; every method is part of a short transaction."""

    place: str
    """For the plan: where they are kept."""

    @property
    def read(self) -> Sequence[str]:
        """Columns of the queue's table that are read, beside those of the condition."""

    @property
    def written(self) -> Sequence[str]:
        """Columns of the queue's table that are written, beside the marks."""

    def claim(
        self, connection: sa.Connection, rows: int, low: KeyValue | None, token: str, seconds: float
    ) -> Sequence[Row]:
        """Lease up to so many free rows that are due, an attempt counted for each; in the queue's order."""

    def rescue(
        self, connection: sa.Connection, rows: int, low: KeyValue | None, token: str, seconds: float
    ) -> Sequence[Row]:
        """Lease up to so many rows whose lease has run out; no attempt counts until one is singled out.

        In the queue's order."""

    def claimable(self, connection: sa.Connection) -> bool:
        """Whether a row of the whole queue is free and due, or lost: where not, none is looked for one by one."""

    def lost(self, connection: sa.Connection, low: KeyValue | None) -> bool:
        """Whether there may be a row to rescue, to unmark or to give up on: else none is looked for one by one."""

    def mark(self, connection: sa.Connection, rows: Sequence[Row]) -> Sequence[Row]:
        """Set the mark of a claim in rows that this transaction has leased; the rows as they are then."""

    def unmark(self, connection: sa.Connection, token: str, keys: Sequence[KeyValue]) -> None:
        """Undo the marks of rows that are still held; what releases rows does that by itself."""

    def unmark_lost(self, connection: sa.Connection, rows: int, low: KeyValue | None) -> None:
        """Undo the marks of up to so many rows whose lease has run out, so that it shows which of them are pending."""

    def isolate(self, connection: sa.Connection, token: str, key: KeyValue, alone: str) -> bool:
        """Hold one row of `token`'s by a token of its own, an attempt counted; False where it is held no more."""

    def dead_letter_poison(
        self, connection: sa.Connection, attempts: int | None, low: KeyValue | None, reason: str, marks: Assignments
    ) -> Sequence[DeadLetter]:
        """Give up on rows that took their holder along, alone, at so many attempts, and on those that cannot be
        counted any further; `marks` are set in them. No attempts: on the latter alone.
        """

    def ack(self, connection: sa.Connection, token: str, keys: Sequence[KeyValue]) -> MarkedLater:
        """Mark or delete the rows that are still held."""

    def retry(
        self, connection: sa.Connection, token: str, keys: Sequence[KeyValue], reason: str, seconds: float
    ) -> Collection[KeyValue]:
        """Let the rows that are still held be claimed again after a while."""

    def dead_letter(
        self, connection: sa.Connection, token: str, keys: Sequence[KeyValue], reason: str, marks: Assignments
    ) -> Collection[KeyValue]:
        """Give up on the rows that are still held, `marks` set in them."""

    def takes_marks(self, connection: sa.Connection, but: KeyValue, savepoint: Savepoint) -> bool | None:
        """Whether another pending row than `but` can be marked done; None: there is none. To be rolled back."""

    def release(self, connection: sa.Connection, token: str, keys: Sequence[KeyValue]) -> None:
        """Release rows that nobody has begun to work on: no attempt counts."""

    def expire(self, connection: sa.Connection, token: str, keys: Sequence[KeyValue]) -> None:
        """Release rows at which something went wrong that cannot be separated from the others: each is tried alone."""

    def renew(self, connection: sa.Connection, token: str, keys: Sequence[KeyValue], seconds: float) -> None:
        """Hold on to the rows for another while."""

    def still_pending(self, connection: sa.Connection, keys: Sequence[KeyValue]) -> bool:
        """Whether any of these rows is pending."""

    def first(self, connection: sa.Connection, low: KeyValue | None) -> KeyValue | None:
        """The key of the first row that is pending, leased or waiting."""

    def next_due(self, connection: sa.Connection) -> float | None:
        """Seconds until the nearest lease ends or the nearest attempt is due; None where nothing waits."""

    def counts(self, connection: sa.Connection) -> Counts:
        """How many rows are in which state."""
