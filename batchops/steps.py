"""One step of the loop: select, work and record in one transaction."""

import threading
from dataclasses import dataclass

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.errors import IntegrityError
from batchops.ledger import Lane, Ledger, taken_over
from batchops.operations import Operation
from batchops.walks import Walk
from batchops.walks.part import Part, Size


@dataclass(frozen=True)
class Outcome:
    """What one committed batch did."""

    rows: int
    read: int
    locked: int = 0
    lane: int = 0


class WalkStep:
    """The next part of a walk, worked on. Called again after an error it first asks the ledger what is durable."""

    def __init__(self, database: Database, walk: Walk, operation: Operation, ledger: Ledger, lane: Lane) -> None:
        self._database = database
        self._walk = walk
        self._operation = operation
        self._ledger = ledger
        self.lane = lane
        self.between_batches = threading.Lock()
        """Held while a batch is in hand; who holds it otherwise may exchange `lane`."""
        self._in_doubt: Lane | None = None

    @property
    def in_doubt(self) -> bool:
        """Whether it is not known yet if the last batch is durable."""
        return self._in_doubt is not None

    def __call__(self, size: Size) -> Outcome | None:
        """One batch; None once the walk is over."""
        if self._in_doubt is not None and (settled := self._settle(self._in_doubt)):
            return settled
        if self.lane.cursor.over:
            return None
        with self._database.transaction() as connection:
            part = self._walk.next(connection, self.lane.cursor, size)
            if part is None:
                return None
            rows = self._work(connection, part)
            short = part.limit is not None and rows < part.limit
            cursor = part.cursor.finished_range() if short else part.cursor
            after = self.lane.advanced(cursor, rows, part.read, part.locked)
            if self._ledger.inside:
                self._ledger.advance(connection, self.lane, after)
                self._in_doubt = after
        self._in_doubt = after
        return self._accept(after) if self._ledger.inside else self._record(after)

    def _work(self, connection: sa.Connection, part: Part) -> int:
        if part.where is None:
            return 0
        rows = connection.execute(self._operation.statement(part)).rowcount
        if part.found is not None and rows > part.found:
            raise IntegrityError(
                f"{part.found} rows were selected but {rows} were changed; the batch was rolled back.",
                "look for triggers or rules on the table that change more of its rows.",
            )
        return rows

    def _record(self, after: Lane) -> Outcome:
        """With the ledger elsewhere the cursor is a commit of its own."""
        with self._ledger.database.transaction() as connection:
            self._ledger.advance(connection, self.lane, after)
        return self._accept(after)

    def _settle(self, tried: Lane) -> Outcome | None:
        """After a lost answer: the batch that was tried, where it turns out to be durable."""
        durable = self._ledger.settled(self.lane)
        if durable.token != self.lane.token:
            raise taken_over(tried.run)
        if durable.batches == tried.batches:
            return self._accept(tried)
        if not self._ledger.inside:
            return self._record(tried)
        self._in_doubt = None
        return None

    def _accept(self, after: Lane) -> Outcome:
        before, self.lane, self._in_doubt = self.lane, after, None
        return Outcome(after.rows - before.rows, after.read - before.read, after.locked - before.locked, after.lane)
