"""One step of a restore: the next archived rows put into the table, and the place written down, in one transaction."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.archive.column_match import Matched, Rejection
from batchops.db.database import Database
from batchops.db.exact_columns import ExactColumn
from batchops.db.row_loading import OnConflict, keep_matching, keys_there
from batchops.db.table import Table
from batchops.errors import BatchopsError, OutcomeUnknownError, RowRefusedError
from batchops.ledger.ledger import Ledger, taken_over
from batchops.ledger.rejected_rows import RejectedRow, keep
from batchops.ledger.run import Worker
from batchops.restore.source import RowsAt
from batchops.restore.tables_in_turn import TablesInTurn
from batchops.runtime.batch_size import Size
from batchops.runtime.outcome import Outcome

CHANGED = "the column's type would change a value"


class KeyThereError(BatchopsError):
    """A row whose key is in the table already, under --on-conflict fail."""


@dataclass(frozen=True)
class Target:
    """Where rows go."""

    table: Table
    columns: tuple[ExactColumn, ...]
    key: tuple[str, ...]
    """By which rows are the same; empty: none is."""
    on_conflict: OnConflict
    condition: sa.ColumnElement[bool] | None


@dataclass
class _Batch:
    """What became of some lines."""

    rows: int = 0
    skipped: int = 0
    rejected: list[Rejection] = field(default_factory=list)

    def add(self, rows: int, skipped: int) -> None:
        self.rows += rows
        self.skipped += skipped


class RestoreStep:
    """Called again after an error, it first asks what is durable, and then gives the same rows once more."""

    def __init__(
        self, database: Database, ledger: Ledger, worker: Worker, source: TablesInTurn, targets: Mapping[str, Target],
        matched: Callable[[RowsAt], Matched], renew: Callable[[sa.Connection], None],
    ) -> None:  # fmt: skip
        """`targets`: by an archived table's label. `matched`: these rows' columns, which may differ by run."""
        self._database = database
        self._ledger = ledger
        self.worker = worker
        self._source = source
        self._targets = targets
        self._matched = matched
        self._renew = renew
        self._left: RowsAt | None = None
        self._in_doubt: Worker | None = None
        self._tried: tuple[RowsAt, _Batch] | None = None
        self.skipped = 0
        """Rows that were there already, and left as they were."""

    def __call__(self, size: Size) -> Outcome | None:
        """One batch; None once every row was read."""
        if self._in_doubt is not None and (settled := self._settle(self._in_doubt)):
            return settled
        if self._left is None:
            self._left = self._source.take(size.rows)
            if self._left is None:
                return None
        rows = self._left.first(size.rows)
        matched, batch = self._matched(rows), _Batch()
        self._in_doubt = None
        try:
            with self._database.transaction() as connection:
                self._database.backend.row_loading.settle(connection)
                _Restoring(self._database, connection, self._target_of(rows), matched, batch)(rows.lines)
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
        """Of rows that may not be archived at all, those whose keys are there stay as they are there."""
        target = self._targets[rows.table.label]
        return replace(target, on_conflict="skip") if rows.undecided else target

    def _record(self, connection: sa.Connection, after: Worker, matched: Matched) -> None:
        self._ledger.advance(connection, self.worker, after)
        keep(connection, self._ledger, self.worker.run, self._named(matched))

    def _named(self, matched: Matched) -> list[RejectedRow]:
        assert self._tried is not None
        rows = [(matched.key_of(one.line), one.reason) for one in self._tried[1].rejected]
        return [RejectedRow((name,), name, reason) for name, reason in rows]

    def _settle(self, tried: Worker) -> Outcome | None:
        """After a lost answer to COMMIT: the batch that was tried, where it turns out to be durable."""
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


class _Restoring:
    """The rows of one batch within its transaction; those that are refused are found by halves."""

    def __init__(
        self, database: Database, connection: sa.Connection, target: Target, matched: Matched, batch: _Batch
    ) -> None:  # fmt: skip
        self._database = database
        self._loading = database.backend.row_loading
        self._connection = connection
        self._target = target
        self._matched = matched
        self._batch = batch

    def __call__(self, lines: Sequence[bytes]) -> None:
        pairs, rejected = self._matched.lines(lines)
        self._batch.rejected += rejected
        if pairs:
            self._through(pairs)

    def _through(self, pairs: list[tuple[bytes, bytes]]) -> None:
        try:
            with self._database.savepoint(self._connection):
                changed, rows, skipped = self._insert(pairs)
        except RowRefusedError as error:
            self._refused(pairs, error)
            return
        self._batch.add(rows, skipped)
        self._batch.rejected += changed

    def _refused(self, pairs: list[tuple[bytes, bytes]], error: RowRefusedError) -> None:
        if len(pairs) > 1:
            middle = len(pairs) // 2
            self._through(pairs[:middle])
            self._through(pairs[middle:])
            return
        ((line, loaded),) = pairs
        if self._target.on_conflict == "fail" and self._is_there(loaded):
            raise KeyThereError(
                f'{self._matched.key_of(line)} is in "{self._target.table.label}" already.',
                "--on-conflict skip leaves such rows as they are, replace gives them the archived values; the same "
                "command with it continues this run.",
            ) from error
        self._batch.rejected.append(Rejection(line, error.message))

    def _insert(self, pairs: list[tuple[bytes, bytes]]) -> tuple[list[Rejection], int, int]:
        """What was rejected since a type would change it, rows that are in the table now, rows that were there."""
        columns, table = self._matched.targets, self._target.table
        direct = self._matched.as_it_was and self._target.on_conflict == "fail" and self._target.condition is None
        if direct:
            self._loading.load(self._connection, table.clause, columns, [loaded for _, loaded in pairs])
            return [], len(pairs), 0
        changed: list[Rejection] = []
        staged = self._staged(columns, [loaded for _, loaded in pairs])
        if not self._matched.as_it_was:
            pairs, changed = self._compared(staged, columns, pairs)
            if changed:
                staged = self._staged(columns, [loaded for _, loaded in pairs])
        if self._target.condition is not None:
            keep_matching(self._connection, staged, self._target.condition)
        rows, skipped = self._loading.merge(
            self._connection, staged, table, columns, self._target.key, self._target.on_conflict
        )
        return changed, rows, skipped

    def _staged(self, columns: Sequence[ExactColumn], lines: Sequence[bytes]) -> sa.TableClause:
        staged = self._loading.stage(self._connection, self._target.table, columns)
        self._loading.load(self._connection, staged, columns, lines)
        return staged

    def _compared(
        self, staged: sa.TableClause, columns: Sequence[ExactColumn], pairs: list[tuple[bytes, bytes]]
    ) -> tuple[list[tuple[bytes, bytes]], list[Rejection]]:  # fmt: skip
        """Those whose values are read back as they were written, and the others."""
        comparable = self._matched.comparable
        there = Counter(map(comparable, self._loading.lines(self._connection, staged, columns)))
        kept, changed = [], []
        for line, loaded in pairs:
            as_read = comparable(loaded)
            if there[as_read] > 0:
                there[as_read] -= 1
                kept.append((line, loaded))
            else:
                changed.append(Rejection(line, CHANGED))
        return kept, changed

    def _is_there(self, loaded: bytes) -> bool:
        """Whether the row's own key is, and not another constraint in its way."""
        if not self._target.key:
            return False
        try:
            with self._database.savepoint(self._connection):
                staged = self._staged(self._matched.targets, [loaded])
                return keys_there(self._connection, staged, self._target.table, self._target.key)
        except (RowRefusedError, DBAPIError):
            return False
