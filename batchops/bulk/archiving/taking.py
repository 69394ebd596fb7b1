"""Executes batches of rows of several tables: hands the rows of each table to what takes them, before they go."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import sqlalchemy as sa

from batchops.bulk.archiving.planned_tables import PlannedTable
from batchops.bulk.execution import DirectExecution
from batchops.bulk.operations import Operation, Statement
from batchops.bulk.strategies.strategy import Batch
from batchops.db.database import Database
from batchops.db.facts import TableName
from batchops.db.row_lines import RowLines, take_lines
from batchops.db.table import Table
from batchops.errors import TransientError
from batchops.ledger.run import Worker


class TableRows(Protocol):
    """Takes the rows of one table, for one worker."""

    of: PlannedTable
    tried: Any
    """What the transaction in hand has taken so far; setting it to an earlier value forgets what came after."""

    def begin(self, worker: Worker) -> None:
        """Begin a transaction, which has taken nothing yet."""

    def take(self, block: bytes) -> None:
        """Take rows, as a block of canonical lines; RowRefusedError for a row that must stay."""

    def record(self, connection: sa.Connection) -> None:
        """Record what the transaction has taken, as part of it."""

    def committed(self) -> None:
        """Count what was tried as durable from now on."""

    def undone(self) -> None:
        """Note that the server has lost transactions that were durable."""


Rows = TypeVar("Rows", bound=TableRows)


class TakingExecution(DirectExecution, Generic[Rows]):
    """Executes the batches of one worker: each row, or value, that goes is taken by what takes those of its table."""

    lazy = False
    one_statement = False
    exact = True

    def __init__(
        self, database: Database, operation: Operation, lines: RowLines, tables: Sequence[Rows]
    ) -> None:  # fmt: skip
        """`tables`: the one that the user named comes first."""
        super().__init__(database, operation)
        self._lines = lines
        self._tables = {(_name(one.of.table), one.of.nulled): one for one in tables}
        self._root = tables[0]

    def begin(self, worker: Worker) -> None:
        for one in self._tables.values():
            one.begin(worker)

    def state(self) -> Callable[[], None]:
        before = {name: one.tried for name, one in self._tables.items()}

        def forget() -> None:
            for name, tried in before.items():
                self._tables[name].tried = tried

        return forget

    def work(self, connection: sa.Connection, batch: Batch) -> int:
        """Change the rows; if that fails, forget those that were read, as it is undone."""
        forget = self.state()
        try:
            return super().work(connection, batch)
        except BaseException:
            forget()
            raise

    def _carried_out(self, connection: sa.Connection, batch: Batch, statement: Statement) -> int:
        root = self._root
        return take_lines(self._lines, connection, statement, batch.selection.table, root.of.columns, root.take)

    def read(self, connection: sa.Connection, table: Table, where: sa.ColumnElement[bool], rows: int) -> None:
        self._read(connection, self._tables[_name(table), ()], table, where, rows)

    def nulls(
        self, connection: sa.Connection, table: Table, columns: Sequence[str], where: sa.ColumnElement[bool], rows: int
    ) -> None:  # fmt: skip
        self._read(connection, self._tables[_name(table), tuple(columns)], table, where, rows)

    def _read(
        self, connection: sa.Connection, rows_of: Rows, table: Table, where: sa.ColumnElement[bool], rows: int
    ) -> None:  # fmt: skip
        select: sa.Select[Any] = table.alone(sa.select(sa.literal_column("1")).select_from(table.called)).where(where)
        found = self._lines.read(connection, select, table, rows_of.of.columns, rows_of.take)
        if found != rows:
            raise TransientError(f"{found} rows of {table.label} are there where {rows} had been locked.")

    def delete(self, connection: sa.Connection, table: Table, delete: sa.Delete) -> int:
        rows_of = self._tables[_name(table), ()]
        if rows_of.of.read_first:
            return super().delete(connection, table, delete)
        return self._lines.delete(connection, delete, table, rows_of.of.columns, rows_of.take)

    def record(self, connection: sa.Connection, batch: Batch, after: Worker) -> None:  # noqa: ARG002  the protocol's shape
        for one in self._tables.values():
            one.record(connection)

    def committed(self) -> None:
        for one in self._tables.values():
            one.committed()

    def undone(self) -> None:
        for one in self._tables.values():
            one.undone()


def _name(table: Table) -> TableName:
    return table.schema, table.name
