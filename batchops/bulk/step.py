"""One step of the loop: select, work and record in one transaction."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import sqlalchemy as sa

from batchops.bulk.execution import Execution, InexactError
from batchops.bulk.failing_condition import located, next_batch, ready
from batchops.bulk.isolate_rejected import RejectedRowSearch, SearchResult, TooManyRejectedError, row_names
from batchops.bulk.rejection_forecast import RejectionForecast
from batchops.bulk.replan import ReadMeter
from batchops.bulk.skipped_rows import MOST_WAITING, changed_meanwhile, skipped
from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.bulk.strategies.strategy import Batch, Strategy
from batchops.db.database import Database
from batchops.db.types import KeyValue
from batchops.errors import ConditionFailedError, ConnectionLostError, LockedError, RowRefusedError, StuckError
from batchops.ledger.ledger import Ledger, taken_over
from batchops.ledger.rejected_rows import CHANGED, LOCKED, RejectedRow, keep
from batchops.ledger.run import Worker
from batchops.runtime.batch_size import Size
from batchops.runtime.outcome import Outcome

MOST_LISTED = 10_000
"""How many rows that the job's own condition keeps are named in the ledger by one worker."""


class BulkStep:
    """Applies the operation to the next batch. Called again after an error, it first asks what is durable.

    Rows that the database refuses are separated from the others of their batch, named and skipped. With `comes_back`
    they are first tried again at the end, as long as other rows still change.
    """

    def __init__(
        self,
        database: Database,
        strategy: Strategy,
        execution: Execution,
        ledger: Ledger,
        worker: Worker,
        read_meter: ReadMeter | None = None,
        renew: Callable[[sa.Connection], None] = lambda _: None,
        *,
        comes_back: bool = False,
    ) -> None:
        """`renew` may keep the run's lease alive in the batch's own transaction."""
        self._database = database
        self._strategy = strategy
        self._execution = execution
        self._ledger = ledger
        self.worker = worker
        self._cursors: dict[str, Cursor] = {}
        """The last cursors, by their texts in the ledger."""
        self.between_batches = threading.Lock()
        """Held while a batch is in progress. Another thread that holds it may exchange `worker`."""
        self._in_doubt: Worker | None = None
        self._unkept: tuple[RejectedRow, ...] = ()
        """The rows that the last batch skipped. If the ledger is elsewhere, they may have to be recorded again."""
        self._meter = read_meter
        forecast = RejectionForecast(database, execution.operation)
        self._search = RejectedRowSearch(database, execution.work, forecast, statements=not execution.one_statement)
        self._ruled = 0
        """How many rows were left that the job's own condition or options keep."""
        self._searching = False
        """Whether the last batch held rows that the database refuses, so that the next one may as well."""
        self._listing = False
        """Whether refused rows are looked for in a list of the batch's rows."""
        self._comes_back = comes_back
        self._renew = renew
        self._skips_locked = False
        """Whether the last batch left out locked rows, so that the next one does not wait for its own."""
        self._aim: int | None = None
        """The most rows of a batch if only COMMIT refuses a row; None: as many as asked for."""

    @property
    def cursor(self) -> Cursor:
        """The worker's cursor."""
        return self._cursor_of(self.worker)

    @property
    def in_doubt(self) -> bool:
        """Whether it is unknown yet if the last batch is durable."""
        return self._in_doubt is not None

    def __call__(self, size: Size) -> Outcome | None:
        """Execute one batch; return None if nothing is left."""
        if self._in_doubt is not None and (settled := self._settle(self._in_doubt)):
            return settled
        try:
            outcome = self._execution.ahead(self.worker, self.cursor, size)
            return self._next(size) if outcome is None else outcome
        except ConnectionLostError:
            # The server may have crashed. What it had on disk, or a server in its place, may be some batches behind.
            self._in_doubt = self._in_doubt or self.worker
            raise
        except LockedError:  # the same behind a pooler, or another process has taken the run over
            return self._settle(self.worker) or Outcome(0, 0)

    def _next(self, size: Size) -> Outcome | None:
        while not self.cursor.over:
            now = size if self._aim is None else replace(size, rows=min(self._aim, size.rows))
            now = self._search.bounded(now, listed=self._listing) if self._searching else now
            try:
                outcome = self._batch(now)
            except InexactError:
                size = replace(size, exact=True)
                continue
            except ConditionFailedError as failed:
                raise located(self._database, self._strategy, self.cursor, now, failed) from failed
            except TooManyRejectedError:
                continue
            except RowRefusedError as error:
                if not self._searching:
                    self._searching = True
                elif not now.exact:  # none of the rows that the table's checks predicted
                    self._listing = True
                elif now.rows == 1:
                    return self._skip_row(now, error)
                else:  # refused by COMMIT, or by a statement that takes no list
                    self._aim = now.rows // 2
                continue
            if self._aim is not None:
                self._aim = None if 2 * now.rows >= size.rows else 2 * now.rows
            return outcome
        return None

    def _batch(self, size: Size) -> Outcome | None:
        reading = ready(self._strategy, self.cursor)
        if self._skips_locked and not self.cursor.ranges[0].keys:  # rows that are visited again are waited for
            size = replace(size, skip_locked=True)
        # One transaction with the ledger's row for the batch, so that a batch that is undone is simply done again.
        with self._transaction() as connection:
            meter = self._meter.meter(connection) if self._meter else None
            batch = next_batch(self._database, self._strategy, connection, self.cursor, size)
            if batch is None:
                self.worker = replace(self.worker, cursor=replace(self.cursor, ranges=()).dumped())
                return None
            rows = (done := self._worked(connection, batch)).rows
            for own in batch.then:
                connection.execute(own)
            if batch.found is None and batch.limit is None and rows > 2 * size.rows:
                # Others inserted into the range since its end was looked up, or a block is denser than the average.
                raise InexactError
            if not (rows or done.refused) and (anew := self._strategy.relocated(connection, self.cursor)):
                batch = replace(batch, cursor=anew, read=0)
            replan = self._meter.check(batch.read + rows, meter()) if self._meter and meter else None
            short = batch.limit is not None and rows < batch.limit
            cursor = batch.cursor.finished_range() if short else batch.cursor
            cursor, named = self._skip_rejected(connection, batch, cursor, done)
            backend = self._database.backend
            changed = skipped(backend, connection, batch, self._changed(connection, batch, done), CHANGED)
            locked = skipped(backend, connection, batch, batch.locked_keys, LOCKED)
            named = (*named, *changed)
            after = self._advanced(cursor, batch, rows, len(named))
            self._note(connection, after, (*named, *locked))
            self._execution.record(connection, batch, after)
        self._skips_locked = size.skip_locked and cursor.locked > self.cursor.locked
        self._listing = False
        self._searching = bool(done.refused) or self._aim is not None or self._search.expects(size.rows)
        return replace(
            self._recorded(after), rejected=tuple(row.as_event for row in named), size=size, replan=replan,
            refused=len(done.refused), extra_seconds=done.seconds + reading, last=cursor.over,
        )  # fmt: skip

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        """Open the transaction of a batch: for its rows, and for the ledger's row if that is in the database."""
        self._execution.begin(self.worker)
        lazy = self._execution.lazy and self._ledger.in_target
        with self._database.transaction(lazy=lazy, durable=not self._execution.lazy) as connection:
            yield connection

    def _worked(self, connection: sa.Connection, batch: Batch) -> SearchResult:
        if self._searching and batch.keys:
            first = self.cursor.ranges[0].refused_at is None
            return self._search(connection, batch, roughly=self._comes_back and first)
        if self._searching and batch.key and batch.where is not None:
            return self._search.through_range(connection, batch)
        return SearchResult(self._execution.work(connection, batch), ())

    def _skip_rejected(
        self, connection: sa.Connection, batch: Batch, cursor: Cursor, done: SearchResult
    ) -> tuple[Cursor, tuple[RejectedRow, ...]]:
        """Return the cursor after a batch, and its rejected rows by name, unless they are tried again later."""
        range_, before = self.cursor.ranges[0], self.worker.rows
        hopeless = not self._comes_back or (range_.refused_at == before and not done.rows)
        rest = None if cursor.over else cursor.ranges[0]
        # Rows change again in this round, so its rest is tried too. Rows that it refuses make the next round.
        if range_.refused_at is not None and not hopeless and rest and rest.keys and rest.visits == range_.visits:
            cursor = replace(cursor, ranges=(replace(rest, refused_at=-1), *cursor.ranges[1:]))
        if not done.refused or cursor.passes > 0:  # a further pass meets the same rows again
            return cursor, ()
        waiting = sum(len(later.keys) for later in cursor.ranges if later.refused_at is not None)
        if batch.keeps_no_place and waiting + len(done.refused) > MOST_WAITING:
            raise StuckError(self._strategy.name, done.refused[0][1])
        if hopeless or waiting + len(done.refused) > MOST_WAITING:
            names = row_names(self._database.backend, connection, batch, [key for key, _ in done.refused])
            return cursor, tuple(RejectedRow(key, names[repr(key)], reason) for key, reason in done.refused)
        keys = tuple(key for key, _ in done.refused)
        visits, at = (0, -1) if range_.refused_at is None else (range_.visits + 1, before)
        return cursor.retry_later(replace(range_, after=None, upto=None, keys=keys, visits=visits, refused_at=at)), ()

    def _skip_row(self, size: Size, refused: RowRefusedError) -> Outcome:
        """Move the cursor over the batch's only row, which is refused, and report it."""
        with self._transaction() as connection:
            batch = self._strategy.next(connection, self.cursor, size)
            if batch is None:
                raise refused
            if batch.keeps_no_place and not batch.keys:
                raise StuckError(self._strategy.name, refused.message)
            behind, named = batch.cursor, tuple[RejectedRow, ...]()
            if batch.keeps_no_place:
                behind = behind.retry_later(Range(None, None, batch.keys, refused_at=-1))
            elif batch.keys and batch.cursor.passes == 0:  # a further pass meets the same rows again
                ((key, name),) = zip(
                    batch.keys, row_names(self._database.backend, connection, batch, batch.keys).values(), strict=True
                )
                named = (RejectedRow(key, name, refused.message),)
            after = self._advanced(behind, batch, 0, len(named))
            self._note(connection, after, named)
            self._execution.record(connection, batch, after)
        return replace(self._recorded(after), rejected=tuple(row.as_event for row in named), size=size)

    def _changed(self, connection: sa.Connection, batch: Batch, done: SearchResult) -> tuple[KeyValue, ...]:
        """Return the keys of listed rows that others have changed."""
        if not self._execution.operation.removes or done.rows + len(done.refused) == batch.found:
            return batch.changed_keys
        return (*batch.changed_keys, *changed_meanwhile(self._database.backend, connection, batch))

    def _advanced(self, cursor: Cursor, batch: Batch, rows: int, rejected: int) -> Worker:
        """Return the worker as it is once the batch is durable."""
        text = cursor.dumped()
        self._cursors = {self.worker.cursor: self.cursor, text: cursor}  # they need not be parsed again
        return self.worker.advanced(text, rows=rows, read=batch.read, locked=batch.locked, rejected=rejected)

    def _cursor_of(self, worker: Worker) -> Cursor:
        if worker.cursor not in self._cursors:
            self._cursors = {worker.cursor: Cursor.loaded(worker.cursor)}
        return self._cursors[worker.cursor]

    def _note(self, connection: sa.Connection, after: Worker, skipped: Sequence[RejectedRow]) -> None:
        """Record progress and the skipped rows, if the ledger is in the database; elsewhere `_recorded` does that."""
        self._unkept = tuple(self._listed(skipped))
        if self._ledger.in_target:
            self._advance(connection, after)
            self._renew(connection)
            self._in_doubt = after

    def _listed(self, skipped: Sequence[RejectedRow]) -> Iterator[RejectedRow]:
        """Yield those for the ledger's list: the rows that a job's condition keeps may be a large part of its table."""
        for row in skipped:
            self._ruled += row.ruled
            if not row.ruled or self._ruled <= MOST_LISTED:
                yield row

    def _recorded(self, after: Worker) -> Outcome:
        """Accept the committed batch. If the ledger is elsewhere, record the progress there, in a commit of its own."""
        self._in_doubt = after
        if not self._ledger.in_target:
            with self._ledger.database.transaction() as connection:
                self._advance(connection, after)
        return self._accept(after)

    def _advance(self, connection: sa.Connection, after: Worker) -> None:
        self._ledger.advance(connection, self.worker, after)
        keep(connection, self._ledger, self.worker.run, self._unkept)

    def _settle(self, tried: Worker) -> Outcome | None:
        """After a lost answer, return the outcome of the batch that was tried if it is durable; else None."""
        durable = self._ledger.durable(self.worker)
        if durable.token != self.worker.token:
            raise taken_over(tried.run)
        if durable.batches == tried.batches:
            return self._accept(tried)
        if durable.batches < self.worker.batches and self._ledger.in_target:
            return self._set_back(durable)
        if not self._ledger.in_target:
            return self._recorded(tried)
        self._in_doubt = None
        return None

    def _set_back(self, durable: Worker) -> Outcome:
        """Go back to where the ledger is: the server has lost its rows, and the work with them."""
        before, self.worker, self._in_doubt = self.worker, durable, None
        self._execution.undone()
        undone = before.batches - durable.batches
        return Outcome.between(before, durable, self._cursor_of(durable).passes, undone)

    def _accept(self, after: Worker) -> Outcome:
        before, self.worker, self._in_doubt = self.worker, after, None
        if after.batches > before.batches:  # else what the execution has tried was rolled back
            self._execution.committed()
        return Outcome.between(before, after, self._cursor_of(before).passes)
