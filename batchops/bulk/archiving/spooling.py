"""Writes rows into a worker's spools, durably before the transaction commits that deletes them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from batchops.archive.lines import digest_of
from batchops.archive.spool import SUFFIX, SpoolWriter
from batchops.bulk.archiving.planned_tables import PlannedTable
from batchops.bulk.archiving.same_columns import refuse_other_columns
from batchops.bulk.archiving.taking import TakingExecution
from batchops.bulk.operations import Operation
from batchops.db.database import Database
from batchops.db.exact_text import lines_in
from batchops.db.row_lines import RowLines
from batchops.errors import BatchopsError
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
    tables: Sequence[PlannedTable]
    """All tables whose rows, or values, are archived; the one that the user named comes first."""
    header: Callable[[PlannedTable], dict[str, Any]]
    """Returns what each spool of a table begins with."""
    folder: Path
    segment_size: int
    grown: Callable[[Spool], None]
    """Told of a spool as far as it is committed."""
    full: Callable[[Spool], None]
    """Called with a spool that nobody writes to any more."""
    wait: Callable[[], None]
    """Called before each transaction."""


class SpoolExecution(TakingExecution["TableSpools"]):
    """Executes the batches of one worker: DELETE … RETURNING, frames, fsync, the ledger's rows; the step commits."""

    def __init__(self, spooling: Spooling, operation: Operation) -> None:
        numbers = count(1)
        tables = [TableSpools(spooling, of, lambda: next(numbers)) for of in spooling.tables]
        super().__init__(spooling.database, operation, spooling.lines, tables)
        self._own = spooling

    def begin(self, worker: Worker) -> None:
        """Start new spools if the fencing token changed: a process with the old token may still write to old ones."""
        self._own.wait()
        super().begin(worker)

    def leave(self) -> None:
        """Write no more to the spools."""
        for one in self._tables.values():
            one.leave()


class TableSpools:
    """One worker's spools of one table, one after another."""

    def __init__(self, spooling: Spooling, of: PlannedTable, number: Callable[[], int]) -> None:
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

    def take(self, block: bytes) -> None:
        """Write rows, not durably yet."""
        assert self._worker is not None  # a transaction has begun
        self.of.refuse_inexact(block)
        file = self._file or self._open(self._worker)
        before = self.tried or self._spool or Spool(self._worker.run, file.path.stem, file.length, 0, 0)
        digest = digest_of(lines_in(block))
        try:
            length = file.append(self._worker.batches + 1, block, digest, before.length)
        except OSError as error:
            raise cannot_write(file.path, error) from error
        self.tried = before.grown(length, digest.rows, int(str(digest), 16))

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
            self._file = SpoolWriter(path, self._own.header(self.of))
        except OSError as error:
            raise cannot_write(path, error) from error
        return self._file


def cannot_write(path: Path, error: OSError) -> BatchopsError:
    """Return the error for a file that cannot be written: a disk is full, or a folder is gone."""
    return BatchopsError(
        f"{path} cannot be written: {error.strerror or error}. The batch was rolled back.",
        "make room or correct it, then run the same command again: it continues.",
    )
