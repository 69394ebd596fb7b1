"""Rows into a worker's spools, durable before the transaction commits that deletes them."""

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
    """Those of the table; `columns` may be some of them."""
    format: RowFormat
    """What the rows will be sealed in: a row that it cannot hold exactly stays."""
    header: dict[str, Any]
    nulled: tuple[str, ...] = ()
    """Not empty: its rows stay, and these columns of them are set to NULL; `columns` are these and their key."""
    read_first: bool = False
    """Whether its rows are read before they are deleted, as other statements change them, or take them along."""


@dataclass(frozen=True)
class Spooling:
    """What the spools of a run have in common."""

    database: Database
    ledger: Ledger
    lines: RowLines
    tables: Sequence[SpooledTable]
    """All whose rows, or values, are archived: the one that was named first."""
    folder: Path
    segment_size: int
    full: Callable[[Spool], None]
    """Told of a spool that nobody writes to any more."""
    wait: Callable[[], None]
    """Called before each transaction."""


class SpoolExecution(DirectExecution):
    """One worker's: DELETE … RETURNING, frames, fsync, the ledger's rows for them; then the step commits."""

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
        """Another token, another spool: a process with the old token writes to a file that does not count."""
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
        """Rows of a part that is undone are forgotten."""
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
        """Frames are durable before the ledger's rows for them, which are in the same transaction."""
        for one in self._tables.values():
            one.record(connection)

    def committed(self) -> None:
        """What was tried counts from now on."""
        for one in self._tables.values():
            one.committed()

    def undone(self) -> None:
        """The ledger tells how much of the spools counts: leave them to the process that seals them."""
        for one in self._tables.values():
            one.undone()

    def leave(self) -> None:
        """Write no more to the spools."""
        for one in self._tables.values():
            one.leave()


class TableSpools:
    """One worker's spools of one table, one after another."""

    def __init__(self, spooling: Spooling, of: SpooledTable, number: Callable[[], int]) -> None:
        """`number`: of the worker's next spool."""
        self.of = of
        self.tried: Spool | None = None
        """The spool in hand with what the transaction in hand has written; None for nothing."""
        self._own = spooling
        self._number = number
        self._file: SpoolWriter | None = None
        self._spool: Spool | None = None
        """As far as it is durable; None before its first batch is."""
        self._recorded = False
        """Whether the ledger was told of more in a transaction that may still be durable."""
        self._worker: Worker | None = None

    def begin(self, worker: Worker) -> None:
        """A transaction begins."""
        if self._recorded:  # nothing that may count is written over
            self.undone()
        if self._worker is not None and worker.token != self._worker.token:
            self.leave()
        self._worker, self.tried = worker, None

    def take(self, lines: list[bytes]) -> None:
        """Write rows that go, not durably yet. RowRefusedError for one that would come back as another."""
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
        """fsync, then the ledger's row."""
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
        """What was tried counts from now on."""
        self._recorded = False
        if self.tried is None or self._file is None:
            return
        self._spool, self.tried = self.tried, None
        self._file.length = self._spool.length
        if self._spool.length >= self._own.segment_size:
            self.leave()

    def undone(self) -> None:
        """The ledger tells how much of the spool counts."""
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
        """A spool of this token's own; the same worker may have several, one after another."""
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
    """For a disk that is full, or a folder that is gone."""
    return BatchopsError(
        f"{path} cannot be written: {error.strerror or error}. The batch was rolled back.",
        "make room or correct it, then run the same command again: it continues.",
    )
