"""The step of a restore: inserts the next archived rows and records the place, in one transaction."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import sqlalchemy as sa

from batchops.archive.column_match import Matched
from batchops.db.database import Database
from batchops.errors import OutcomeUnknownError
from batchops.ledger.ledger import Ledger, taken_over
from batchops.ledger.rejected_rows import RejectedRow, keep
from batchops.ledger.run import Worker
from batchops.restore.found import key_of
from batchops.restore.rows_back import Done, RowsBack, SetLater, Target
from batchops.restore.source import RowsAt
from batchops.restore.table_order import Later
from batchops.restore.tables_in_turn import StillArrangingError, TablesInTurn
from batchops.runtime.batch_size import Size
from batchops.runtime.outcome import Outcome


class RestoreStep:
    """Restores one batch. After an error, the next call checks whether that batch is durable; if not, it repeats it."""

    def __init__(
        self, database: Database, ledger: Ledger, worker: Worker, source: TablesInTurn, targets: Mapping[str, Target],
        matched: Callable[[RowsAt], Matched], later: Later, renew: Callable[[sa.Connection], None],
    ) -> None:  # fmt: skip
        """`targets`: by the archived table's label. `matched`: matches the rows' columns, which may differ by run."""
        self._database = database
        self._ledger = ledger
        self.worker = worker
        self._source = source
        self._targets = targets
        self._matched = matched
        self._later = later
        self._renew = renew
        self._left: RowsAt | None = None
        self._in_doubt: Worker | None = None
        self._tried: tuple[RowsAt, Done] | None = None
        self.skipped = 0
        """Rows that were in the table already, and were left unchanged."""

    def __call__(self, size: Size) -> Outcome | None:
        """Restore one batch; return None once every row was read."""
        if self._in_doubt is not None and (settled := self._settle(self._in_doubt)):
            return settled
        if self._left is None:
            try:
                self._left = self._source.take(size.rows)
            except StillArrangingError:
                return Outcome(0, 0)  # the run waits for that
            if self._left is None:
                return None
        rows = self._left.first(size.rows)
        matched, batch = self._matched(rows), Done()
        self._in_doubt = None
        try:
            with self._database.transaction() as connection:
                self._database.backend.row_loading.settle(connection)
                later = rows.table.nulled or self._later.get(rows.table.label, ())
                working = SetLater if rows.again else RowsBack
                working(self._database, connection, self._target_of(rows), matched, batch, later)(rows.lines)
                tables = {rows.table.label: batch.rows} if len(self._targets) > 1 else None
                after = self.worker.advanced(
                    rows.after.dumped(), rows=batch.rows, read=len(rows.lines), locked=0,
                    rejected=len(batch.rejected), tables=tables,
                )  # fmt: skip
                self._tried = rows, batch
                if self._ledger.in_target:
                    self._record(connection, after, matched)
                    self._renew(connection)
        except OutcomeUnknownError:
            self._in_doubt = after
            raise
        if not self._ledger.in_target:
            with self._ledger.database.transaction() as connection:
                self._record(connection, after, matched)
        return self._accept(after)

    def _target_of(self, rows: RowsAt) -> Target:
        """Return the target for the rows. Undecided rows, which may still be in the table, replace no row there."""
        target = self._targets[rows.table.label]
        target = replace(target, key=key_of(target.table, rows.table)) if rows.again else target
        return replace(target, on_conflict="skip") if rows.undecided else target

    def _record(self, connection: sa.Connection, after: Worker, matched: Matched) -> None:
        self._ledger.advance(connection, self.worker, after)
        keep(connection, self._ledger, self.worker.run, self._named(matched))

    def _named(self, matched: Matched) -> list[RejectedRow]:
        assert self._tried is not None
        rows = [(matched.key_of(one.line), one.reason) for one in self._tried[1].rejected]
        return [RejectedRow((name,), name, reason) for name, reason in rows]

    def _settle(self, tried: Worker) -> Outcome | None:
        """After a lost answer to COMMIT, return the outcome of the batch if it is durable, else None."""
        durable = self._ledger.durable(self.worker)
        if durable.token != self.worker.token:
            raise taken_over(tried.run)
        self._in_doubt = None
        return self._accept(tried) if durable.batches == tried.batches else None

    def _accept(self, after: Worker) -> Outcome:
        assert self._tried is not None
        (rows, batch), self._tried, self._in_doubt = self._tried, None, None
        self.worker = after
        tables = {rows.table.label: batch.rows} if len(self._targets) > 1 and batch.rows else {}
        self.skipped += batch.skipped
        self._left = self._left.behind(len(rows.lines)) if self._left is not None else None
        matched = self._matched(rows)
        names = [(matched.key_of(one.line), one.reason) for one in batch.rejected]
        events = tuple(RejectedRow((name,), name, reason).as_event for name, reason in names)
        return Outcome(batch.rows, len(rows.lines), rejected=events, refused=len(events), tables=tables)
