"""Inserts archived rows within the transaction of a batch, and finds rows that the table refuses by halving."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.archive.column_match import Matched, Rejection
from batchops.db.database import Database
from batchops.db.exact_columns import ExactColumn
from batchops.db.exact_text import fields_of, line_of
from batchops.db.row_loading import OnConflict, keep_matching, keys_there, with_same_keys
from batchops.db.table import Table, quoted
from batchops.errors import BatchopsError, RowRefusedError

CHANGED = "the column's type would change a value"


class KeyThereError(BatchopsError):
    """The key of a row is in the table already, with --on-conflict fail."""


@dataclass(frozen=True)
class Target:
    """The table to restore rows into, and how."""

    table: Table
    columns: tuple[ExactColumn, ...]
    key: tuple[str, ...]
    """The columns that identify a row; empty if no key was archived."""
    on_conflict: OnConflict
    condition: sa.ColumnElement[bool] | None


@dataclass
class Done:
    """How many lines were restored and skipped, and which were rejected."""

    rows: int = 0
    skipped: int = 0
    rejected: list[Rejection] = field(default_factory=list)

    def add(self, rows: int, skipped: int) -> None:
        self.rows += rows
        self.skipped += skipped


class RowsBack:
    """Inserts the rows of one batch. Columns in `later` stay NULL, to be set later."""

    def __init__(
        self, database: Database, connection: sa.Connection, target: Target, matched: Matched, batch: Done,
        later: Sequence[str],
    ) -> None:  # fmt: skip
        self._database = database
        self._loading = database.backend.row_loading
        self._connection = connection
        self._target = target
        self._matched = matched
        self._batch = batch
        names = [column.name for column in matched.targets]
        self._later = [names.index(name) for name in later if name in names]

    def __call__(self, lines: Sequence[bytes]) -> None:
        pairs, rejected = self._matched.lines(lines)
        self._batch.rejected += rejected
        if pairs := self._to_load(pairs):
            self._put(pairs)

    def _to_load(self, pairs: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Return the lines to load: with NULL in the columns that are set later."""
        return [(line, self._without_later(loaded)) for line, loaded in pairs] if self._later else pairs

    def _without_later(self, loaded: bytes) -> bytes:
        return line_of([None if place in self._later else value for place, value in enumerate(fields_of(loaded))])

    def _put(self, pairs: list[tuple[bytes, bytes]]) -> None:
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
            self._put(pairs[:middle])
            self._put(pairs[middle:])
            return
        ((line, loaded),) = pairs
        if self._target.on_conflict == "fail" and self._key_is_there(loaded):
            raise KeyThereError(
                f'{self._matched.key_of(line)} is in "{self._target.table.label}" already.',
                "--on-conflict skip leaves such rows as they are, replace gives them the archived values; the same "
                "command with it continues this run.",
            ) from error
        self._batch.rejected.append(Rejection(line, error.message))

    def _insert(self, pairs: list[tuple[bytes, bytes]]) -> tuple[list[Rejection], int, int]:
        """Write the rows; return those that a type would change, and the numbers of rows written and skipped."""
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
        """Return the rows whose values are read back as they were written, and rejections of the others."""
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

    def _key_is_there(self, loaded: bytes) -> bool:
        """Whether the row's key is in the table, so that it was no other constraint that refused the row."""
        if not self._target.key:
            return False
        try:
            with self._database.savepoint(self._connection):
                staged = self._staged(self._matched.targets, [loaded])
                return keys_there(self._connection, staged, self._target.table, self._target.key)
        except (RowRefusedError, DBAPIError):
            return False


class SetLater(RowsBack):
    """Sets columns of restored rows that are still NULL, once all rows that they refer to are in the table."""

    def _to_load(self, pairs: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        rows = [(line, loaded, fields_of(loaded)) for line, loaded in pairs]
        return [
            (line, loaded) for line, loaded, fields in rows if any(fields[place] is not None for place in self._later)
        ]

    def _refused(self, pairs: list[tuple[bytes, bytes]], error: RowRefusedError) -> None:
        if len(pairs) > 1:
            super()._refused(pairs, error)
        else:
            self._batch.rejected.append(Rejection(pairs[0][0], error.message))

    def _insert(self, pairs: list[tuple[bytes, bytes]]) -> tuple[list[Rejection], int, int]:
        """Set the columns; count no row, since these were counted when they were inserted."""
        table, key = self._target.table, self._target.key
        assert key  # the plan refuses a table without a key
        staged = self._staged(self._matched.targets, [loaded for _, loaded in pairs])
        if self._target.on_conflict == "skip" and (ours := self._as_inserted(staged, pairs)) != pairs:
            if not ours:
                return [], 0, 0
            staged = self._staged(self._matched.targets, [loaded for _, loaded in ours])
        names = [quoted(self._matched.targets[place].name) for place in self._later]
        same = [table.clause.c[quoted(name)] == staged.c[quoted(name)] for name in key]
        unset = [table.clause.c[name].is_(None) for name in names]
        values = {table.clause.c[name]: staged.c[name] for name in names}
        self._connection.execute(sa.update(table.clause).values(values).where(*same, *unset))
        return [], 0, 0

    def _as_inserted(self, staged: sa.TableClause, pairs: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Return the rows that are in the table as a restore inserts them. Others were there before: they stay."""
        targets, comparable = self._matched.targets, self._matched.comparable
        rows = with_same_keys(self._target.table, staged, self._target.key, targets)
        there = {*map(comparable, self._loading.lines(self._connection, rows.subquery(quoted("there")), targets))}
        return [pair for pair in pairs if comparable(self._without_later(pair[1])) in there]
