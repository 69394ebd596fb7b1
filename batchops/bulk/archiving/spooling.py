"""Rows into a worker's spool, durable before the transaction commits that deletes them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from batchops.db.row_lines import RowLines, lines_of
from batchops.db.table import Table
from batchops.errors import BatchopsError, RowRefusedError
from batchops.ledger import spools
from batchops.ledger.ledger import Ledger
from batchops.ledger.run import Worker
from batchops.ledger.spools import Spool


@dataclass(frozen=True)
class Spooling:
    """What the spools of a run have in common."""

    database: Database
    ledger: Ledger
    lines: RowLines
    table: Table
    columns: Sequence[ExactColumn]
    every_column: tuple[str, ...]
    """Those of the table; `columns` may be some of them."""
    format: RowFormat
    """What the rows will be sealed in: a row that it cannot hold exactly stays."""
    folder: Path
    header: dict[str, Any]
    segment_size: int
    full: Callable[[Spool], None]
    """Told of a spool that nobody writes to any more."""
    wait: Callable[[], None]
    """Called before each transaction."""


class SpoolExecution(DirectExecution):
    """One worker's: DELETE … RETURNING, frame, fsync, the ledger's row for it; then the step commits."""

    lazy = False
    one_statement = False

    def __init__(self, spooling: Spooling, operation: Operation) -> None:
        super().__init__(spooling.database, operation)
        self._own = spooling
        self._lines: list[bytes] = []
        self._file: SpoolWriter | None = None
        self._spool: Spool | None = None
        """As far as it is durable; None before its first batch is."""
        self._tried: Spool | None = None
        self._token = ""
        self._opened = 0

    def begin(self, worker: Worker) -> None:
        """Another token, another spool: a process with the old token writes to a file that does not count."""
        self._own.wait()
        self._lines, self._tried = [], None
        if self._file is not None and worker.token != self._token:
            self.leave()

    def work(self, connection: sa.Connection, batch: Batch) -> int:
        """Rows of a part that is undone are forgotten."""
        before = len(self._lines)
        try:
            return super().work(connection, batch)
        except BaseException:
            del self._lines[before:]
            raise

    def _carried_out(self, connection: sa.Connection, batch: Batch, statement: Statement) -> int:
        own = self._own
        lines = lines_of(own.lines, connection, statement, batch.selection.table, own.columns)
        inexact = own.format.inexact(lines) if lines else []
        if inexact:
            raise RowRefusedError(f"{inexact[0].column}: {inexact[0].reason}, and would come back as another value")
        self._lines += lines
        return len(lines)

    def record(self, connection: sa.Connection, batch: Batch, after: Worker) -> None:  # noqa: ARG002
        """Frame, then the ledger's row in the same transaction."""
        if not self._lines:
            return
        refuse_other_columns(connection, self._own.lines, self._own.table, self._own.every_column)
        digest = RowsDigest()
        digest.add(self._lines)
        file = self._file or self._open(after)
        try:
            length = file.append(after.batches, self._lines)
        except OSError as error:
            raise cannot_write(file.path, error) from error
        before = self._spool or Spool(after.run, file.path.stem, 0, 0, 0)
        self._tried = before.grown(length, len(self._lines), int(str(digest), 16))
        write = spools.add if self._spool is None else spools.advance
        write(connection, self._own.ledger, self._tried)

    def committed(self) -> None:
        """What was tried counts from now on."""
        self._lines = []
        if self._tried is None or self._file is None:
            return
        self._spool, self._tried = self._tried, None
        self._file.length = self._spool.length
        if self._spool.length >= self._own.segment_size:
            self.leave()

    def undone(self) -> None:
        """The ledger tells how much of the spool counts: leave it to the process that seals it."""
        self._spool = None
        self.leave()

    def leave(self) -> None:
        """Write no more to the spool."""
        file, spool = self._file, self._spool
        self._file = self._spool = self._tried = None
        if file is not None:
            file.close()
            if spool is not None:
                self._own.full(spool)

    def _open(self, worker: Worker) -> SpoolWriter:
        """A spool of this token's own; the same worker may have several, one after another."""
        own, self._token = self._own, worker.token
        self._opened += 1
        name = f"{worker.run}-{worker.number}-{worker.token}-{self._opened}"
        path = own.folder / f"{name}{SUFFIX}"
        try:
            self._file = SpoolWriter(path, own.header)
        except OSError as error:
            raise cannot_write(path, error) from error
        return self._file


def cannot_write(path: Path, error: OSError) -> BatchopsError:
    """For a disk that is full, or a folder that is gone."""
    return BatchopsError(
        f"{path} cannot be written: {error.strerror or error}. The batch was rolled back.",
        "make room or correct it, then run the same command again: it continues.",
    )
