"""An archive in a table of another database: committed there and read back, then deleted here."""

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.archive.column_match import Matched
from batchops.bulk.archiving.same_columns import refuse_other_columns
from batchops.bulk.execution import DirectExecution, Execution
from batchops.bulk.operations import Operation, Statement
from batchops.bulk.strategies.strategy import Batch, Strategy
from batchops.db.database import Database, connect
from batchops.db.exact_columns import ExactColumn
from batchops.db.exact_text import fields_of
from batchops.db.row_lines import lines_of
from batchops.db.row_loading import own_columns
from batchops.db.sessions import Timeouts
from batchops.db.table import Table, quoted
from batchops.db.urls import DatabaseAddress
from batchops.errors import BatchopsError, RowRefusedError, TransientError
from batchops.finished_details import Archived
from batchops.ledger.ledger import Ledger
from batchops.ledger.run import Run, Worker
from batchops.runtime.ending import Ending
from batchops.runtime.lease import Lease
from batchops.runtime.refusal import Refusal

_OTHER_CONTENT = "its key is there already with other content, or its values would change there"
_NO_KEY = "its key is NULL, by which nothing could be found there"


@dataclass(frozen=True)
class DatabaseArchive:
    """Rows go into a table of another database."""

    source: Table
    address: DatabaseAddress
    timeouts: Timeouts
    workers: int
    into: Table
    matched: Matched
    key: tuple[str, ...]
    columns: tuple[ExactColumn, ...]
    shown: str
    facts: tuple[tuple[str, str], ...]
    refusals: Sequence[Refusal]
    warnings: tuple[str, ...]
    pinned: dict[str, Any] = field(default_factory=dict)

    def open(self, database: Database, ledger: Ledger, run: Run, held: Lease) -> "OpenDatabase":  # noqa: ARG002
        """Connections open with the first batch."""
        return OpenDatabase(self, database)


class OpenDatabase:
    """The same while the run is at work."""

    def __init__(self, archive: DatabaseArchive, database: Database) -> None:
        self._archive = archive
        self._database = database
        self._other = connect(archive.address, archive.timeouts, archive.workers)
        self._executions: list[CopyExecution] = []

    def found_by(self, strategy: Strategy) -> Strategy:
        """As they are found."""
        return strategy

    def execution(self, operation: Operation) -> Execution:
        """One worker's, with a connection of its own."""
        made = CopyExecution(self._database, operation, self._archive, self._other)
        self._executions.append(made)
        return made

    def close(self, ending: Ending) -> Ending:
        """Close what is open there."""
        for one in self._executions:
            one.abandon()
        self._other.close()
        return ending

    def archived(self) -> Archived:
        """Where the rows are."""
        return Archived(self._archive.shown, None, None, 0, None, None)


class CopyExecution(DirectExecution):
    """One worker's: deleted here, inserted there, read back and committed there; then the step commits here.

    A crash between the two commits leaves the batch's rows in both: deleted and inserted once more, they are found
    there with the same content.
    """

    lazy = False
    one_statement = False

    def __init__(self, database: Database, operation: Operation, archive: DatabaseArchive, other: Database) -> None:
        super().__init__(database, operation)
        self._archive = archive
        self._other = other
        self._open: ExitStack | None = None
        self._there: sa.Connection | None = None
        self._new: list[bytes] = []
        """Lines, as they are loaded, of rows that were not there before this batch."""
        self._committed_there = False

    def begin(self, worker: Worker) -> None:  # noqa: ARG002  the protocol's shape
        """What the last try left there is removed: its rows were not deleted here."""
        self.abandon()
        if self._committed_there and self._new:
            self._take_back()
        self._new, self._committed_there = [], False

    def work(self, connection: sa.Connection, batch: Batch) -> int:
        """Rows of a part that is undone here are undone there."""
        there, before = self._begun(), len(self._new)
        there.exec_driver_sql("SAVEPOINT batchops_copy")
        try:
            return super().work(connection, batch)
        except (BatchopsError, DBAPIError) as error:
            del self._new[before:]
            if not isinstance(error, TransientError):  # else the transaction may be gone, and is given up
                with suppress(DBAPIError):
                    there.exec_driver_sql("ROLLBACK TO SAVEPOINT batchops_copy")
            raise

    def _carried_out(self, connection: sa.Connection, batch: Batch, statement: Statement) -> int:
        lines = self._database.backend.row_lines
        assert lines is not None  # the plan refuses a database without it
        taken = lines_of(lines, connection, statement, batch.selection.table, self._archive.columns)
        if taken:
            self._put(taken)
        return len(taken)

    def record(self, connection: sa.Connection, batch: Batch, after: Worker) -> None:  # noqa: ARG002
        """Commit there, before the commit here."""
        if self._open is not None:
            lines, source = self._database.backend.row_lines, self._archive.source
            assert lines is not None  # the plan refuses a database without it
            refuse_other_columns(connection, lines, source, source.column_names)
            self._committed_there = True  # until COMMIT has failed for certain
            opened, self._open, self._there = self._open, None, None
            opened.close()

    def committed(self) -> None:
        """The rows are there, and no longer here."""
        self._new, self._committed_there = [], False

    def abandon(self) -> None:
        """Roll back what is open there."""
        if self._open is not None:
            opened, self._open, self._there = self._open, None, None
            with suppress(_UndoneError, BatchopsError):
                error = _UndoneError()
                if not opened.__exit__(_UndoneError, error, None):
                    raise error

    def _begun(self) -> sa.Connection:
        if self._there is None:
            opened = ExitStack()
            self._there = opened.enter_context(self._other.transaction(durable=True))
            self._open = opened
            self._other.backend.row_loading.settle(self._there)
        return self._there

    def _put(self, lines: Sequence[bytes]) -> None:
        """Insert rows whose keys are not there, and compare all with what is there then."""
        own, loading = self._archive, self._other.backend.row_loading
        pairs, rejected = own.matched.lines(lines)
        if rejected:
            raise RowRefusedError(rejected[0].reason)
        loaded = [line for _, line in pairs]
        if any(None in self._key_of(line) for line in loaded):
            raise RowRefusedError(_NO_KEY)
        try:
            staged = loading.stage(self._begun(), own.into, own.matched.targets)
            loading.load(self._begun(), staged, own.matched.targets, loaded)
            before = self._found(staged)
            loading.merge(self._begun(), staged, own.into, own.matched.targets, own.key, "skip")
            after = self._found(staged)
        except DBAPIError as error:
            raise self._other.error(error) from error
        wanted = Counter(map(own.matched.comparable, loaded))
        if after != wanted:
            raise RowRefusedError(_OTHER_CONTENT)
        self._new += [line for line in loaded if own.matched.comparable(line) not in before]

    def _key_of(self, line: bytes) -> list[bytes | None]:
        fields = dict(zip((one.target.name for one in self._archive.matched.columns), fields_of(line), strict=True))
        return [fields[name] for name in self._archive.key]

    def _found(self, staged: sa.TableClause) -> Counter[tuple[bytes | None, ...]]:
        """The rows there with the keys of the staged ones."""
        own = self._archive
        rows = sa.select(*own_columns(own.into.clause, own.matched.targets)).where(self._same_key(staged))
        lines = self._other.backend.row_loading.lines(
            self._begun(), rows.subquery(quoted("batchops_found")), own.matched.targets
        )
        return Counter(map(own.matched.comparable, lines))

    def _same_key(self, staged: sa.TableClause) -> sa.ColumnElement[bool]:
        own = self._archive
        pairs = [own.into.clause.c[quoted(name)] == staged.c[quoted(name)] for name in own.key]
        return sa.exists(sa.select(sa.literal_column("1")).select_from(staged).where(*pairs))

    def _take_back(self) -> None:
        """Remove rows that only this batch has brought, as they were not deleted here; unless others changed them."""
        own, loading = self._archive, self._other.backend.row_loading
        there = self._begun()
        staged = loading.stage(there, own.into, own.matched.targets)
        loading.load(there, staged, own.matched.targets, self._new)
        if self._found(staged) == Counter(map(own.matched.comparable, self._new)):
            there.execute(sa.delete(own.into.clause).where(self._same_key(staged)))
        opened, self._open, self._there = self._open, None, None
        assert opened is not None
        opened.close()


class _UndoneError(Exception):
    """Rolls a transaction back."""
