"""How a batch is executed: its statement, and what has to be durable before it commits."""

from collections.abc import Callable, Sequence
from typing import Protocol

import sqlalchemy as sa

from batchops.bulk.operations import Operation, Statement
from batchops.bulk.strategies.cursor import Cursor
from batchops.bulk.strategies.strategy import Batch
from batchops.db.database import Database
from batchops.db.table import Table
from batchops.errors import IntegrityError, RowRefusedError
from batchops.ledger.run import Worker
from batchops.runtime.batch_size import Size
from batchops.runtime.outcome import Outcome

_VETO = "a trigger or rule left the row unchanged, without an error"


class InexactError(Exception):
    """A range held other rows than the batch was to change."""


class Removal(Protocol):
    """How rows of several tables are deleted, inside the transaction of a batch."""

    exact: bool
    """Whether each row must be read as it was before any commit of the run changed it."""

    def read(self, connection: sa.Connection, table: Table, where: sa.ColumnElement[bool], rows: int) -> None:
        """Read `rows` rows as they are now, before later statements change them, cascade to them, or delete them."""

    def delete(self, connection: sa.Connection, table: Table, delete: sa.Delete) -> int:
        """Delete the rows; return how many these are."""

    def nulls(
        self, connection: sa.Connection, table: Table, columns: Sequence[str], where: sa.ColumnElement[bool], rows: int
    ) -> None:  # fmt: skip
        """Read `rows` rows as they are now: they stay, and these columns of theirs are set to NULL next."""

    def changes(self, connection: sa.Connection, table: Table, where: sa.ColumnElement[bool]) -> None:
        """Note that the run itself changes these rows next."""

    def state(self) -> Callable[[], None]:
        """Return a function that forgets the rows read and deleted from now on, after the database undid that."""


class Execution(Removal, Protocol):
    """How one worker executes its batches. Nothing counts until `committed` is called."""

    operation: Operation
    lazy: bool
    """Whether a crash of the server may undo the last batches, each as a whole."""
    one_statement: bool
    """Whether only the statement that changes rows can be refused, so that undoing it undoes all of the work."""

    def ahead(self, worker: Worker, cursor: Cursor, size: Size) -> Outcome | None:
        """Do a part of what must be done before the transaction of the batch behind `cursor`.

        Return the outcome of that part, after which the step is asked again; None if the batch can begin.
        """

    def begin(self, worker: Worker) -> None:
        """Note that a transaction begins; what an earlier one tried was rolled back."""

    def work(self, connection: sa.Connection, batch: Batch) -> int:
        """Change the batch's rows, or a part of them; return how many. After RowRefusedError the caller undoes it."""

    def record(self, connection: sa.Connection, batch: Batch, after: Worker) -> None:
        """Make durable what else has to be, once all rows are changed. `after`: the worker once the batch commits."""

    def committed(self) -> None:
        """Note that what was recorded last is durable."""

    def undone(self) -> None:
        """Note that the server has lost batches that were durable."""


class DirectRemoval:
    """Deletes rows, and copies them nowhere."""

    exact = False

    def read(self, connection: sa.Connection, table: Table, where: sa.ColumnElement[bool], rows: int) -> None:
        pass

    def nulls(
        self, connection: sa.Connection, table: Table, columns: Sequence[str], where: sa.ColumnElement[bool], rows: int
    ) -> None:  # fmt: skip
        pass

    def changes(self, connection: sa.Connection, table: Table, where: sa.ColumnElement[bool]) -> None:
        pass

    def delete(self, connection: sa.Connection, table: Table, delete: sa.Delete) -> int:  # noqa: ARG002
        return connection.execute(delete).rowcount

    def state(self) -> Callable[[], None]:
        return lambda: None


class DirectExecution(DirectRemoval):
    """Executes the operation's statement, and nothing else."""

    lazy = True
    one_statement = True

    def __init__(self, database: Database, operation: Operation) -> None:
        self._database = database
        self.operation = operation

    def ahead(self, worker: Worker, cursor: Cursor, size: Size) -> Outcome | None:  # noqa: ARG002
        return None

    def begin(self, worker: Worker) -> None:
        pass

    def record(self, connection: sa.Connection, batch: Batch, after: Worker) -> None:
        pass

    def committed(self) -> None:
        pass

    def undone(self) -> None:
        pass

    def work(self, connection: sa.Connection, batch: Batch) -> int:
        """Change the rows. If fewer are changed than were selected, make sure that none was silently left as it is."""
        if batch.where is None:
            return 0
        statement = self.operation.statement(batch)
        if batch.by_keys and not isinstance(statement, sa.Select):  # a SELECT waits for no row
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
        """Whether some rows that were locked for the operation are unchanged, and not just deleted by a cascade."""
        if not self.operation.removes:
            return True
        return connection.execute(self.operation.rehearsal(batch).limit(1)).first() is not None
