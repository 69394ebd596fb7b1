"""Predicts which rows of a batch the table's own checks will refuse: a hint about which rows to try alone."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.bulk.operations import Operation
from batchops.bulk.operations.update import Update
from batchops.bulk.strategies.strategy import Batch
from batchops.db.database import Database
from batchops.db.table import Table, quoted
from batchops.db.types import KeyValue
from batchops.errors import TransientError

Answer = TypeVar("Answer")


class RejectionForecast:
    """Reads the rows as they would be after the change. It ends for good if that fails or does not help."""

    def __init__(self, database: Database, operation: Operation) -> None:
        self._backend = database.backend
        self._database = database
        self._operation = operation
        self._checks: dict[str, Sequence[str]] = {}
        """The conditions that every row of a table must meet, by the table's identity."""
        self.ended = not isinstance(operation, Update)
        self.confirms = False
        """Whether one statement has told of several rows that the server refuses each."""
        self._together = True
        """Whether the server could be asked that so far."""

    def __call__(self, connection: sa.Connection, batch: Batch) -> tuple[tuple[KeyValue, ...], ...]:
        """Return the keys of the rows that will be refused, in groups that the same checks refuse."""
        if self.ended:
            return ()
        groups = self._undone(connection, lambda: self._asked(connection, batch))
        self.ended = groups is None
        return groups or ()

    def confirmed(self, connection: sa.Connection, batch: Batch) -> bool:
        """Whether the server itself refuses each of the listed rows, by a constraint."""
        table = batch.selection.table
        if not self._together or table.may_veto:  # a row that a trigger skips is not refused
            return False
        faults, update = self._backend.faults, self._operation.statement(batch)
        assert isinstance(update, sa.Update)
        asked = lambda: faults.refuses_each(connection, update, len(batch.keys), table, batch.key)  # noqa: E731
        self._together = self.confirms = bool(self._undone(connection, asked))
        return self._together

    def _undone(self, connection: sa.Connection, asked: Callable[[], Answer]) -> Answer | None:
        """Return the answer, or None if the server gives none. What the question did is rolled back."""
        connection.exec_driver_sql("SAVEPOINT forecast")
        answer: Answer | None = None
        try:
            answer = asked()
        except DBAPIError as error:  # mostly a value that cannot be evaluated for one of the rows
            if isinstance(self._database.error(error), TransientError):
                raise  # the server may have undone the whole transaction
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT forecast")
        return answer

    def judge(self, predicted: int, of_these: int, others: int) -> None:
        """Learn how many of the predicted rows were refused, and how many others."""
        self.ended = self.ended or 2 * of_these < predicted or others > of_these

    def _asked(self, connection: sa.Connection, batch: Batch) -> tuple[tuple[KeyValue, ...], ...]:
        table = batch.selection.table
        if table.identity not in self._checks:
            self._checks[table.identity] = self._of(connection, table)
        if not self._checks[table.identity]:
            return ()
        key = [self._backend.keys.out(table, name).label(f"batchops_k{i}") for i, name in enumerate(batch.key)]
        rows = sa.select(*key, *self._operation.afterwards(batch)).select_from(table.called)
        after = table.alone(rows.where(*batch.conditions)).subquery(quoted(table.alias or table.name))
        refused = [sa.not_(sa.literal_column(f"({text})", sa.Boolean())) for text in self._checks[table.identity]]
        found = sa.select(*(after.c[column.name] for column in key), *refused).where(sa.or_(*refused))
        groups: dict[tuple[object, ...], list[KeyValue]] = {}
        for values in connection.execute(found):
            by = tuple(values[len(key) :])
            groups.setdefault(by, []).append(tuple(values[: len(key)]))
        return tuple(map(tuple, groups.values()))

    def _of(self, connection: sa.Connection, table: Table) -> list[str]:
        quote = self._backend.sql_functions.quote
        filled = [
            f"{quote}{column.name.replace(quote, 2 * quote)}{quote} IS NOT NULL"
            for column in table.columns
            if not column.nullable and not column.generated
        ]
        return [*(text for _, text in self._backend.contents.checks(connection, table)), *filled]
