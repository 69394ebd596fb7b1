"""The step of a drain without leases: claims, works on and marks rows in one short transaction."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.db.types import KeyValue
from batchops.errors import CutShortError, RowRefusedError, TimedOutError
from batchops.events import Rejected
from batchops.queue.deadline import MOST_HANGING, Deadline, DeadlinePassedError
from batchops.queue.handlers import Failed, HandlerError, Result, Unmarked
from batchops.queue.in_transaction import InTransaction
from batchops.queue.leases.row_lock import RowLocks
from batchops.queue.low_water import QueueLowWaterMark
from batchops.queue.mark_check import Marks
from batchops.queue.queue import Queue, Row
from batchops.queue.results import reason
from batchops.runtime.batch_size import Size
from batchops.runtime.counters import Counters
from batchops.runtime.outcome import Outcome

MOST_FAILED = 1_000
"""The most failed rows. A list in each statement leaves them out of later claims; with more, the run ends."""


class RowLockStep:
    """Locks, works on and marks rows. A row that fails stays pending, and this process does not claim it again."""

    def __init__(
        self, database: Database, queue: Queue, locks: RowLocks, low: QueueLowWaterMark, in_transaction: InTransaction,
        deadline: Deadline, counters: Counters, marks: Marks, failed: list[KeyValue],
    ) -> None:  # fmt: skip
        """`failed`: keys of failed rows to leave alone, shared by the workers of the process."""
        self._database = database
        self._queue = queue
        self._locks = locks
        self._low = low
        self._in_transaction = in_transaction
        self._deadline = deadline
        self._counters = counters
        self._marks = marks
        self._failed = failed
        self._at_once = False
        """Whether constraints are checked before COMMIT: from its first refusal on."""

    def __call__(self, size: Size) -> Outcome | None:
        """Work on one batch; return None if no row of the whole table is free."""
        began = self._low.begin()
        outcome = self._batch(size.rows, began)
        if outcome is None:
            self._low.forget()
            outcome = self._batch(size.rows, None) if began is not None else None
        if outcome is not None:
            self._low.look()
        return outcome

    def _batch(self, most: int, low: KeyValue | None) -> Outcome | None:
        if self._marks.refusal is not None:
            raise self._marks.refusal
        but = list(self._failed)
        if len(but) > MOST_FAILED:
            raise HandlerError(
                f"More than {MOST_FAILED} rows failed, and without leases there is no place to set them aside.",
                "keep leases: see `batchops queue init`.",
            )
        rows: Sequence[Row] = ()
        try:
            with self._database.transaction() as connection:
                rows = self._locks.claim(connection, most, low, but)
                if not rows:
                    return None
                if self._at_once:
                    self._database.backend.claims.check_at_once(connection)
                results = self._in_transaction(connection, rows, self._done)
        except DeadlinePassedError:
            results = self._overdue(rows)
        except RowRefusedError as error:  # by COMMIT: nothing of the batch is done
            if not self._at_once:
                self._at_once = True
                return self._batch(most, low)
            results = [Unmarked(reason(error)) for _ in rows]
        self._marks.judge(self._database, self._locks, rows, results, self._queue.row_name)
        self._low.claimed(rows[-1].key)
        return self._outcome(rows, results)

    def _overdue(self, rows: Sequence[Row]) -> list[Result]:
        if self._deadline.hanging > MOST_HANGING:
            raise HandlerError(f"{self._deadline.hanging} calls of the handler hang.", "find out what it waits for.")
        if self._deadline.given_up():
            raise CutShortError("The handler did not return within the grace period; nothing of it was applied.")
        late = f"the handler did not return within {self._deadline.seconds:g} s"
        if len(rows) > 1:  # the loop retries with fewer rows
            raise TimedOutError(f"{late[0].upper()}{late[1:]}; nothing of this batch was applied.")
        return [Failed(late)]

    def _done(self, connection: sa.Connection, keys: Sequence[KeyValue]) -> Collection[KeyValue]:
        return self._marks.prove(connection, self._locks, "", keys, self._locks.ack(connection, keys))

    def _outcome(self, rows: Sequence[Row], results: Sequence[Result]) -> Outcome:
        failed = [(row.key, one) for row, one in zip(rows, results, strict=True) if isinstance(one, Failed)]
        self._failed.extend(key for key, _ in failed)
        done = sum(one is None for one in results)
        self._counters.add(claimed=len(rows), failed=len(failed))
        rejected = tuple(Rejected(self._queue.row_name(key), one.reason) for key, one in failed)
        for one in rejected:
            self._counters.because(one.reason, [one.key])
        return Outcome(rows=done, read=len(rows), rejected=rejected)
