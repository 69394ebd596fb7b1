"""Writes rows into a worker's spools, durably before the transaction commits that deletes them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from batchops.archive.formats import RowFormat
from batchops.archive.lines import RowsDigest
from batchops.archive.spool import SUFFIX, SpoolWriter
from batchops.bulk.archiving.same_columns import refuse_other_columns
from batchops.bulk.execution import DirectExecution
from batchops.bulk.operations import Operation, Statement
from batchops.bulk.strategies.strategy import Batch
from batchops.db.database import Database
from batchops.db.exact_columns import ExactColumn
from batchops.db.facts import TableName
from batchops.db.row_lines import RowLines, take_lines
from batchops.db.table import Table
from batchops.errors import BatchopsError, RowRefusedError, TransientError
from batchops.ledger import spools
from batchops.ledger.ledger import Ledger
from batchops.ledger.run import Worker
from batchops.ledger.spools import Spool


@dataclass(frozen=True)
class SpooledTable:
    """A table whose rows go into spools of their own."""

    table: Table
    columns: Sequence[ExactColumn]
    every_column: tuple[str, ...]
    """All columns of the table; `columns` may be some of them."""
    format: RowFormat
    """The format in which the rows will be sealed: a row that it cannot hold exactly stays."""
    header: dict[str, Any]
    nulled: tuple[str, ...] = ()
    """Not empty: its rows stay, and these columns of them are set to NULL; `columns` are these and their key."""
    read_first: bool = False
    """Whether its rows are read before they are deleted, as other statements change them, or cascade to them."""


@dataclass(frozen=True)
class Spooling:
    """What the spools of a run have in common."""

    database: Database
    ledger: Ledger
    lines: RowLines
    tables: Sequence[SpooledTable]
    """All tables whose rows, or values, are archived; the one that the user named comes first."""
    folder: Path
    segment_size: int
    grown: Callable[[Spool], None]
    """Told of a spool as far as it is committed."""
    full: Callable[[Spool], None]
    """Called with a spool that nobody writes to any more."""
    wait: Callable[[], None]
    """Called before each transaction."""


class SpoolExecution(DirectExecution):
    """Executes the batches of one worker: DELETE … RETURNING, frames, fsync, the ledger's rows; the step commits."""

    lazy = False
    one_statement = False
    exact = True

    def __init__(self, spooling: Spooling, operation: Operation) -> None:
        super().__init__(spooling.database, operation)
        self._own = spooling
        numbers = count(1)
        self._tables = {
            (_name(of.table), of.nulled): TableSpools(spooling, of, lambda: next(numbers)) for of in spooling.tables
        }
        self._root = self._tables[_name(spooling.tables[0].table), ()]

    def begin(self, worker: Worker) -> None:
        """Start new spools if the fencing token changed: a process with the old token may still write to old ones."""
        self._own.wait()
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
        own = self._own
        root = self._root
        return take_lines(own.lines, connection, statement, batch.selection.table, root.of.columns, root.take)

    def read(self, connection: sa.Connection, table: Table, where: sa.ColumnElement[bool], rows: int) -> None:
        self._read(connection, self._tables[_name(table), ()], table, where, rows)

    def nulls(
        self, connection: sa.Connection, table: Table, columns: Sequence[str], where: sa.ColumnElement[bool], rows: int
    ) -> None:  # fmt: skip
        self._read(connection, self._tables[_name(table), tuple(columns)], table, where, rows)

    def _read(
        self, connection: sa.Connection, spools: "TableSpools", table: Table, where: sa.ColumnElement[bool], rows: int
    ) -> None:  # fmt: skip
        select: sa.Select[Any] = table.alone(sa.select(sa.literal_column("1")).select_from(table.called)).where(where)
        found = self._own.lines.read(connection, select, table, spools.of.columns, spools.take)
        if found != rows:
            raise TransientError(f"{found} rows of {table.label} are there where {rows} had been locked.")

    def delete(self, connection: sa.Connection, table: Table, delete: sa.Delete) -> int:
        spools = self._tables[_name(table), ()]
        if spools.of.read_first:
            return super().delete(connection, table, delete)
        return self._own.lines.delete(connection, delete, table, spools.of.columns, spools.take)

    def record(self, connection: sa.Connection, batch: Batch, after: Worker) -> None:  # noqa: ARG002  the protocol's shape
        """Make frames durable, then record them in the ledger, in the transaction of the batch."""
        for one in self._tables.values():
            one.record(connection)

    def committed(self) -> None:
        """Count what was tried as durable from now on."""
        for one in self._tables.values():
            one.committed()

    def undone(self) -> None:
        """Leave the spools to the process that seals them: the ledger tells how much of them counts."""
        for one in self._tables.values():
            one.undone()

    def leave(self) -> None:
        """Write no more to the spools."""
        for one in self._tables.values():
            one.leave()


class TableSpools:
    """One worker's spools of one table, one after another."""

    def __init__(self, spooling: Spooling, of: SpooledTable, number: Callable[[], int]) -> None:
        """`number` returns the number of the worker's next spool."""
        self.of = of
        self.tried: Spool | None = None
        """The spool in hand with what the transaction in hand has written; None if it has written nothing."""
        self._own = spooling
        self._number = number
        self._file: SpoolWriter | None = None
        self._spool: Spool | None = None
        """The spool as far as it is durable; None before its first batch is durable."""
        self._recorded = False
        """Whether more was recorded in the ledger, in a transaction that may still turn out durable."""
        self._worker: Worker | None = None

    def begin(self, worker: Worker) -> None:
        """Begin a transaction; with another spool if the fencing token changed."""
        if self._recorded:  # never overwrite what may count
            self.undone()
        if self._worker is not None and worker.token != self._worker.token:
            self.leave()
        self._worker, self.tried = worker, None

    def take(self, lines: list[bytes]) -> None:
        """Write rows, not durably yet. RowRefusedError for a row that would come back as another."""
        assert self._worker is not None  # a transaction has begun
        inexact = self.of.format.inexact(lines)
        if inexact:
            other = "" if self.of is self._own.tables[0] else f"{self.of.table.label}."
            raise RowRefusedError(
                f"{other}{inexact[0].column}: {inexact[0].reason}, and would come back as another value"
            )
        file = self._file or self._open(self._worker)
        before = self.tried or self._spool or Spool(self._worker.run, file.path.stem, file.length, 0, 0)
        try:
            length = file.append(self._worker.batches + 1, lines, before.length)
        except OSError as error:
            raise cannot_write(file.path, error) from error
        digest = RowsDigest()
        digest.add(lines)
        self.tried = before.grown(length, len(lines), int(str(digest), 16))

    def record(self, connection: sa.Connection) -> None:
        """Make what was written durable by fsync, then record it in the ledger."""
        if self.tried is None or self._file is None:
            return
        if not self.of.nulled:
            refuse_other_columns(connection, self._own.lines, self.of.table, self.of.every_column)
        try:
            self._file.sync()
        except OSError as error:
            raise cannot_write(self._file.path, error) from error
        self._recorded = True
        write = spools.add if self._spool is None else spools.advance
        write(connection, self._own.ledger, self.tried)

    def committed(self) -> None:
        """Count what was tried as durable from now on."""
        self._recorded = False
        if self.tried is None or self._file is None:
            return
        self._spool, self.tried = self.tried, None
        self._file.length = self._spool.length
        if self._spool.length >= self._own.segment_size:
            self.leave()
        else:
            self._own.grown(self._spool)

    def undone(self) -> None:
        """Leave the spool: the ledger tells how much of it counts."""
        self._spool = None
        self.leave()

    def leave(self) -> None:
        """Write no more to the spool."""
        file, spool = self._file, self._spool
        self._file = self._spool = self.tried = None
        self._recorded = False
        if file is not None:
            file.close()
            if spool is not None:
                self._own.full(spool)

    def _open(self, worker: Worker) -> SpoolWriter:
        """Open a spool for this fencing token; a worker may have several, one after another."""
        name = f"{worker.run}-{worker.number}-{worker.token}-{self._number()}"
        path = self._own.folder / f"{name}{SUFFIX}"
        try:
            self._file = SpoolWriter(path, self.of.header)
        except OSError as error:
            raise cannot_write(path, error) from error
        return self._file


def _name(table: Table) -> TableName:
    return table.schema, table.name


def cannot_write(path: Path, error: OSError) -> BatchopsError:
    """Return the error for a file that cannot be written: a disk is full, or a folder is gone."""
    return BatchopsError(
        f"{path} cannot be written: {error.strerror or error}. The batch was rolled back.",
        "make room or correct it, then run the same command again: it continues.",
    )
