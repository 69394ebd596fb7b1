"""An archive in a table of another database: committed there and read back, then deleted here."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.archive.column_match import Matched
from batchops.archive.numbers import advance_numbers
from batchops.bulk.archiving.same_columns import refuse_other_columns
from batchops.bulk.execution import DirectExecution, Execution
from batchops.bulk.operations import Operation, Statement
from batchops.bulk.operations.copy import Copy
from batchops.bulk.rows_out import RunInHand, WholeRows
from batchops.bulk.strategies.strategy import Batch, Strategy
from batchops.db.database import Database, connect
from batchops.db.exact_columns import ExactColumn
from batchops.db.exact_text import fields_of
from batchops.db.row_lines import lines_of
from batchops.db.row_loading import with_same_keys
from batchops.db.sessions import Timeouts
from batchops.db.table import Table, quoted
from batchops.db.urls import DatabaseAddress
from batchops.errors import RefusedError, RowRefusedError
from batchops.finished_details import Archived
from batchops.ledger.run import Worker
from batchops.runtime.ending import Ending
from batchops.runtime.refusal import Refusal

Brought = dict[bytes, bytes]
"""Maps the line of a row here to its line as it is loaded there."""
_OTHER_CONTENT = "its key is there already with other content, or its values would change there"
_NO_KEY = "its key is NULL, by which nothing could be found there"


@dataclass(frozen=True)
class DatabaseArchive:
    """A planned archive in a table of another database."""

    source: Table
    address: DatabaseAddress
    timeouts: Timeouts
    workers: int
    into: Table
    matched: Matched
    key: tuple[str, ...]
    columns: tuple[ExactColumn, ...]
    shown: str
    unique: frozenset[str]
    """Columns of the other table whose numbers of new rows are advanced."""
    facts: tuple[tuple[str, str], ...]
    refusals: Sequence[Refusal]
    warnings: tuple[str, ...]
    pinned: dict[str, Any] = field(default_factory=dict)

    def open(self, of: RunInHand) -> "OpenDatabase":
        """Return the open archive; connections to the other database open with the first batch."""
        return OpenDatabase(self, of.database)


class OpenDatabase:
    """The archive during a run, with the other database."""

    def __init__(self, archive: DatabaseArchive, database: Database) -> None:
        self._archive = archive
        self._database = database
        self._other = connect(archive.address, archive.timeouts, archive.workers)
        database.others.append(self._other)

    def found_by(self, strategy: Strategy) -> Strategy:
        """Return the strategy unchanged: rows are archived in the batches that it finds."""
        return strategy

    def execution(self, operation: Operation) -> Execution:
        """Return the execution of one worker, with a connection of its own."""
        return CopyExecution(self._database, operation, self._archive, self._other)

    def whole(self) -> WholeRows:
        """Raise an error: only files take whole partitions, as the spec says."""
        raise RefusedError("Whole partitions are archived to files alone.", "leave --drop-partitions out.")

    def close(self, ending: Ending, warn: Callable[[str], None]) -> Ending:
        """Advance the numbers of new rows there, and close the connections.

        Rows that were brought and not deleted are found by the next run.
        """
        advance_numbers(self._other, self._archive.into, self._archive.unique, warn)
        self._other.close()
        return ending

    def archived(self) -> Archived:
        """Return where the rows are, for the run's summary."""
        return Archived(self._archive.shown, None, None, 0, None, None)


class CopyExecution(DirectExecution):
    """Executes the batches of one worker: rows are read here, inserted, read back and committed there, deleted here.

    No lock is held here meanwhile. A row that others changed since it was read is removed there, and brought anew.
    A crash between the two commits leaves the batch's rows in both databases. They are read and brought once more,
    and found there with the same content.
    """

    lazy = False
    one_statement = False

    def __init__(self, database: Database, operation: Operation, archive: DatabaseArchive, other: Database) -> None:
        super().__init__(database, operation)
        self._archive = archive
        self._other = other
        self._lines = database.backend.row_lines
        self._brought: list[Brought] = []
        """The rows of the batch in hand that were not there before it, for each commit there."""

    def begin(self, worker: Worker) -> None:  # noqa: ARG002  the protocol's shape
        """Take back what the last try brought, as its rows were not deleted here."""
        while self._brought:
            self._take_back(self._brought[-1])
            self._brought.pop()

    def work(self, connection: sa.Connection, batch: Batch) -> int:
        """Change the rows. If a part is refused and undone here, take it back there; else the next `begin` does."""
        before = len(self._brought)
        try:
            return super().work(connection, batch)
        except (RowRefusedError, DBAPIError):  # a constraint that refuses rows here is still the driver's error
            while len(self._brought) > before:
                self._take_back(self._brought[-1])
                self._brought.pop()
            raise

    def _carried_out(self, connection: sa.Connection, batch: Batch, statement: Statement) -> int:
        table, columns = batch.selection.table, self._archive.columns
        rows = Copy().statement(batch) if isinstance(statement, sa.Delete) else statement
        assert isinstance(rows, sa.Select)  # no archive updates
        read = lines_of(self._lines, connection, rows.limit(batch.limit), table, columns)
        self._bring(read)
        if not isinstance(statement, sa.Delete):
            return len(read)
        gone = lines_of(self._lines, connection, statement, table, columns)
        if (stale := Counter(read) - Counter(gone)) and self._brought:
            last = self._brought[-1]
            self._take_back({line: loaded for line, loaded in last.items() if line in stale})
            self._brought[-1] = {line: loaded for line, loaded in last.items() if line not in stale}
        self._bring([*(Counter(gone) - Counter(read)).elements()])
        return len(gone)

    def record(self, connection: sa.Connection, batch: Batch, after: Worker) -> None:  # noqa: ARG002
        """Check for a new column of the table, which would be deleted without being archived."""
        source = self._archive.source
        refuse_other_columns(connection, self._lines, source, source.column_names)

    def committed(self) -> None:
        """Note that the rows are there, and no longer here."""
        self._brought = []

    def _bring(self, lines: Sequence[bytes]) -> None:
        """Commit the rows there whose keys are not there yet, and compare all rows with what is there then."""
        if not lines:
            return
        own, loading = self._archive, self._other.backend.row_loading
        pairs, rejected = own.matched.lines(lines)
        if rejected:
            raise RowRefusedError(rejected[0].reason)
        loaded = [line for _, line in pairs]
        if any(None in self._key_of(line) for line in loaded):
            raise RowRefusedError(_NO_KEY)
        try:
            with self._other.transaction(durable=True) as there:
                staged = self._staged(there, loaded)
                before = self._found(there, staged)
                loading.merge(there, staged, own.into, own.matched.targets, own.key, "skip")
                if self._found(there, staged) != Counter(map(own.matched.comparable, loaded)):
                    raise RowRefusedError(_OTHER_CONTENT)
                # Noted before the COMMIT, whose answer may be lost.
                new = {line: loaded for line, loaded in pairs if own.matched.comparable(loaded) not in before}
                self._brought.append(new)
        except DBAPIError as error:
            raise self._other.error(error) from error

    def _key_of(self, line: bytes) -> list[bytes | None]:
        fields = dict(zip((one.target.name for one in self._archive.matched.columns), fields_of(line), strict=True))
        return [fields[name] for name in self._archive.key]

    def _staged(self, there: sa.Connection, loaded: Sequence[bytes]) -> sa.TableClause:
        own, loading = self._archive, self._other.backend.row_loading
        loading.settle(there)
        staged = loading.stage(there, own.into, own.matched.targets)
        loading.load(there, staged, own.matched.targets, loaded)
        return staged

    def _found(self, there: sa.Connection, staged: sa.TableClause) -> Counter[tuple[bytes | None, ...]]:
        """Return the rows there that have the keys of the staged ones."""
        own = self._archive
        rows = with_same_keys(own.into, staged, own.key, own.matched.targets)
        lines = self._other.backend.row_loading.lines(
            there, rows.subquery(quoted("batchops_found")), own.matched.targets
        )  # fmt: skip
        return Counter(map(own.matched.comparable, lines))

    def _same_key(self, staged: sa.TableClause) -> sa.ColumnElement[bool]:
        own = self._archive
        pairs = [own.into.clause.c[quoted(name)] == staged.c[quoted(name)] for name in own.key]
        return sa.exists(sa.select(sa.literal_column("1")).select_from(staged).where(*pairs))

    def _take_back(self, brought: Brought) -> None:
        """Remove the rows that one commit brought there, as they were not deleted here; unless others changed them."""
        if not brought:
            return
        try:
            with self._other.transaction(durable=True) as there:
                staged = self._staged(there, [*brought.values()])
                if self._found(there, staged) == Counter(map(self._archive.matched.comparable, brought.values())):
                    there.execute(sa.delete(self._archive.into.clause).where(self._same_key(staged)))
        except DBAPIError as error:
            raise self._other.error(error) from error
