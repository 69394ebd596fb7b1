"""The protocol of the places that leases are kept in."""

from collections.abc import Collection, Sequence
from typing import Protocol

import sqlalchemy as sa

from batchops.db.claims import MarkedLater
from batchops.db.types import KeyValue
from batchops.queue.queue import Assignments, Row
from batchops.queue.rows import Savepoint
from batchops.runtime.counters import Counts

NEVER = 1e15
"""The `next_at` of a dead letter, which is not tried again until it is redriven."""
DeadLetter = tuple[Row, str]


class Leases(Protocol):
    """Records who holds which row until when, and its attempts. Each method is part of a short transaction."""

    place: str
    """Where the leases are kept, for the plan."""

    @property
    def read(self) -> Sequence[str]:
        """Return the columns of the queue's table that are read, beside those of the condition."""

    @property
    def written(self) -> Sequence[str]:
        """Return the columns of the queue's table that are written, beside the marks."""

    def claim(
        self, connection: sa.Connection, rows: int, low: KeyValue | None, token: str, seconds: float
    ) -> Sequence[Row]:
        """Lease up to that many free, due rows, and count an attempt for each; return them in the queue's order."""

    def rescue(
        self, connection: sa.Connection, rows: int, low: KeyValue | None, token: str, seconds: float
    ) -> Sequence[Row]:
        """Lease up to that many rows whose lease has expired; return them in the queue's order.

        No attempt is counted until `isolate` claims a row alone.
        """

    def claimable(self, connection: sa.Connection) -> bool:
        """Whether any row of the queue is free and due, or lost. If not, no claim needs to search the queue."""

    def lost(self, connection: sa.Connection, low: KeyValue | None) -> bool:
        """Whether there may be a row to rescue, unmark or give up. If not, no statement needs to search for one."""

    def mark(self, connection: sa.Connection, rows: Sequence[Row]) -> Sequence[Row]:
        """Set the mark of --claimed in rows that this transaction has leased; return the rows with the mark."""

    def unmark(self, connection: sa.Connection, token: str, keys: Sequence[KeyValue]) -> None:
        """Undo the marks of rows that `token` still holds. Methods that release rows do this themselves."""

    def unmark_lost(self, connection: sa.Connection, rows: int, low: KeyValue | None) -> None:
        """Undo the marks of up to that many rows whose lease has expired, to find out which of them are pending."""

    def isolate(self, connection: sa.Connection, token: str, key: KeyValue, alone: str) -> bool:
        """Give one row that `token` holds the token `alone`, and count an attempt; False if `token` lost the row."""

    def dead_letter_poison(
        self, connection: sa.Connection, attempts: int | None, low: KeyValue | None, reason: str, marks: Assignments
    ) -> Sequence[DeadLetter]:
        """Give up poison rows, and rows whose attempts cannot be counted any further; set `marks` in them.

        A poison row was claimed alone and lost its lease at that many attempts. None: there are no poison rows.
        """

    def ack(self, connection: sa.Connection, token: str, keys: Sequence[KeyValue], claimed: int) -> MarkedLater:
        """Mark or delete as done the rows that `token` still holds. `claimed`: how many rows were claimed with it."""

    def retry(
        self, connection: sa.Connection, token: str, keys: Sequence[KeyValue], reason: str, seconds: float
    ) -> Collection[KeyValue]:
        """Release the rows that `token` still holds, to be claimed again after that many seconds; return their keys."""

    def dead_letter(
        self, connection: sa.Connection, token: str, keys: Sequence[KeyValue], reason: str, marks: Assignments
    ) -> Collection[KeyValue]:
        """Give up the rows that `token` still holds, and set `marks` in them; return their keys."""

    def takes_marks(self, connection: sa.Connection, but: KeyValue, savepoint: Savepoint) -> bool | None:
        """Whether a pending row other than `but` can be marked done; None: there is none. The caller rolls back."""

    def release(self, connection: sa.Connection, token: str, keys: Sequence[KeyValue]) -> None:
        """Release rows that the handler has not begun to work on: no attempt is counted."""

    def expire(self, connection: sa.Connection, token: str, keys: Sequence[KeyValue]) -> None:
        """Let the leases of rows expire at once: it is not known which of them failed, so each is tried alone."""

    def renew(self, connection: sa.Connection, token: str, keys: Sequence[KeyValue], seconds: float) -> None:
        """Renew the leases of the rows for that many seconds."""

    def still_pending(self, connection: sa.Connection, keys: Sequence[KeyValue]) -> bool:
        """Whether any of these rows is pending."""

    def vetoed(self, connection: sa.Connection, token: str, keys: Sequence[KeyValue]) -> bool:
        """Whether any of these rows is pending that `ack` did not change although `token` held it, as triggers can do.

        A row that another worker has taken is none of them.
        """

    def first(self, connection: sa.Connection, low: KeyValue | None) -> KeyValue | None:
        """Return the key of the first row that is pending, leased or waiting; None if there is none."""

    def next_due(self, connection: sa.Connection) -> float | None:
        """Return the seconds until the next lease ends or the next attempt is due; None if no row waits."""

    def counts(self, connection: sa.Connection) -> Counts:
        """Return how many rows are in each state."""
