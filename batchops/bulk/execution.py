"""How a batch is carried out: its statement, and what has to be durable before it commits."""

from collections.abc import Callable, Sequence
from typing import Protocol

import sqlalchemy as sa

from batchops.bulk.operations import Operation, Statement
from batchops.bulk.strategies.strategy import Batch
from batchops.db.database import Database
from batchops.db.table import Table
from batchops.errors import IntegrityError, RowRefusedError
from batchops.ledger.run import Worker

_VETO = "a trigger or rule left the row unchanged, without an error"


class InexactError(Exception):
    """A range held other rows than the batch was to change."""


class Removal(Protocol):
    """How rows of several tables leave them, inside the transaction of a batch."""

    exact: bool
    """Whether each row must be known as it was before any commit of the run changed it."""

    def read(self, connection: sa.Connection, table: Table, where: sa.ColumnElement[bool], rows: int) -> None:
        """So many rows that later statements change, or take along, before one deletes them: as they are now."""

    def delete(self, connection: sa.Connection, table: Table, delete: sa.Delete) -> int:
        """Delete the rows; how many that were."""

    def nulls(
        self, connection: sa.Connection, table: Table, columns: Sequence[str], where: sa.ColumnElement[bool], rows: int
    ) -> None:  # fmt: skip
        """So many rows that stay, and whose columns are set to NULL next: as they are now."""

    def state(self) -> Callable[[], None]:
        """What forgets the rows that are read and deleted from now on, once the database has undone that."""


class Execution(Removal, Protocol):
    """One worker's. Nothing of it counts until `committed`."""

    operation: Operation
    lazy: bool
    """Whether a fall of the server may undo its last batches, each as a whole."""
    one_statement: bool
    """Whether rows are refused by the statement that changes them alone, so that a server may undo just that."""

    def begin(self, worker: Worker) -> None:
        """A transaction begins; what an earlier one tried was rolled back."""

    def work(self, connection: sa.Connection, batch: Batch) -> int:
        """Change the batch's rows, or a part of them; how many. RowRefusedError: the caller undoes what it did."""

    def record(self, connection: sa.Connection, batch: Batch, after: Worker) -> None:
        """All rows are changed, the worker is fenced: what else has to be durable. `after`: the worker once it is."""

    def committed(self) -> None:
        """What was recorded last is durable."""

    def undone(self) -> None:
        """The server has lost batches that were durable."""


class DirectRemoval:
    """Rows go nowhere else."""

    exact = False

    def read(self, connection: sa.Connection, table: Table, where: sa.ColumnElement[bool], rows: int) -> None:
        pass

    def nulls(
        self, connection: sa.Connection, table: Table, columns: Sequence[str], where: sa.ColumnElement[bool], rows: int
    ) -> None:  # fmt: skip
        pass

    def delete(self, connection: sa.Connection, table: Table, delete: sa.Delete) -> int:  # noqa: ARG002
        return connection.execute(delete).rowcount

    def state(self) -> Callable[[], None]:
        return lambda: None


class DirectExecution(DirectRemoval):
    """The operation's statement, and nothing else."""

    lazy = True
    one_statement = True

    def __init__(self, database: Database, operation: Operation) -> None:
        self._database = database
        self.operation = operation

    def begin(self, worker: Worker) -> None:
        pass

    def record(self, connection: sa.Connection, batch: Batch, after: Worker) -> None:
        pass

    def committed(self) -> None:
        pass

    def undone(self) -> None:
        pass

    def work(self, connection: sa.Connection, batch: Batch) -> int:
        """The rows that it changed are those that were selected, or none of them is kept from it in silence."""
        if batch.where is None:
            return 0
        statement = self.operation.statement(batch)
        if batch.by_keys and not isinstance(statement, sa.Select):  # which waits for no row
            statement = self._database.backend.keys.by_index(batch.selection.table, batch.key, statement)
        statement = statement if batch.order is None else statement.where(batch.order)
        rows = self._carried_out(connection, batch, statement)
        if batch.found is None or rows == batch.found:
            return rows
        if rows > batch.found:
            raise IntegrityError(
                f"{batch.found} rows were selected but {rows} were changed; the batch was rolled back.",
                "look for triggers or rules on the table that change more of its rows.",
            )
        if not self.operation.removes and not batch.keys:
            raise InexactError  # which rows others had changed before cannot be told once these are changed too
        if self._still_there(connection, batch):
            raise RowRefusedError(_VETO)
        return rows

    def _carried_out(self, connection: sa.Connection, batch: Batch, statement: Statement) -> int:  # noqa: ARG002
        return connection.execute(statement).rowcount

    def _still_there(self, connection: sa.Connection, batch: Batch) -> bool:
        """Whether rows that were locked for the operation are as if nothing had been done; a cascade took the rest."""
        if not self.operation.removes:
            return True
        return connection.execute(self.operation.rehearsal(batch).limit(1)).first() is not None
