"""batchops changed on purpose: `python -m tests.crash.variants NAME ARGUMENTS…`.

The tests here must notice the two that are wrong; a third, which does not repeat the condition, stands with the races.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from batchops.archive.spool import SpoolWriter
from batchops.bulk.step import BulkStep
from batchops.bulk.strategies.strategy import Batch
from batchops.cli.app import main
from batchops.db.exact_columns import ExactColumn
from batchops.db.exact_text import block_of, line_of
from batchops.db.postgresql.exact_columns import PostgreSQLExactColumns
from batchops.db.postgresql.row_lines import PostgreSQLRowLines
from batchops.db.row_lines import Take
from batchops.db.table import Table
from batchops.ledger import spools
from batchops.ledger.ledger import Ledger
from batchops.ledger.run import Worker
from batchops.ledger.spools import Spool
from batchops.runtime.outcome import Outcome
from tests.command import Batchops


def apart() -> None:
    """The cursor is committed apart from the work."""

    def note(step: BulkStep, connection: sa.Connection, after: Worker, passed_by: object) -> None:
        pass

    def recorded(step: BulkStep, after: Worker) -> Outcome:
        step._in_doubt = after
        with step._ledger.database.transaction() as connection:
            step._ledger.advance(connection, step.worker, after)
        return step._accept(after)

    BulkStep._note = note  # type: ignore[method-assign]  # that is the point
    BulkStep._recorded = recorded  # type: ignore[method-assign]


def unfenced() -> None:
    """The fence is not checked."""

    def advance(ledger: Ledger, connection: sa.Connection, old: Worker, new: Worker) -> None:
        update = ledger.workers.update().where(ledger.workers.c.run == old.run, ledger.workers.c.worker == old.number)
        connection.execute(update.values(cursor=new.cursor, batches=new.batches, rows_changed=new.rows))

    Ledger.advance = advance  # type: ignore[method-assign]


def window() -> None:
    """An archive reads the rows of a window, and deletes by the window what is there a moment later."""

    def delete(
        _: PostgreSQLRowLines, connection: sa.Connection, delete: sa.Delete, table: Table,
        columns: Sequence[ExactColumn], take: Take,
    ) -> int:  # fmt: skip
        selected = PostgreSQLExactColumns().selected(table, columns)
        rows = connection.execute(sa.select(*selected).select_from(table.called).where(delete.whereclause)).all()
        time.sleep(0.05)
        connection.execute(delete)
        take(block_of([line_of([value.encode() for value in row]) for row in rows]))
        return len(rows)

    PostgreSQLRowLines.delete = delete  # type: ignore[method-assign]  # that is the point


def unconditional() -> None:
    """The condition is not repeated in the statement that deletes."""
    Batch.conditions = property(lambda batch: (batch.where,))  # type: ignore[assignment, method-assign]


def appended() -> None:
    """Whoever takes a run over appends to the spool that its predecessor has left."""

    def opened(own: SpoolWriter, path: Path, header: dict[str, Any]) -> None:
        run, worker, _, _ = path.stem.split("-")
        own.path = path.with_name(f"{run}-{worker}-a-1.spool")
        if not own.path.exists():
            right(own, own.path, header)
            return
        own._file = os.open(own.path, os.O_WRONLY)
        own.length = own.path.stat().st_size

    def add(connection: sa.Connection, ledger: Ledger, spool: Spool) -> None:
        known = spools.names_of(connection, ledger, spool.run)
        if spool.name not in known:
            first(connection, ledger, spool)
            return
        row = connection.execute(sa.select(ledger.spools).where(ledger.spools.c.spool == spool.name)).one()
        before = Spool(row.run, row.spool, row.valid_length, row.rows_kept, int(row.digest, 16))
        spools.advance(connection, ledger, before.grown(spool.length, spool.rows, spool.digest))

    right, first = SpoolWriter.__init__, spools.add
    SpoolWriter.__init__ = opened  # type: ignore[method-assign]
    spools.add = add


VARIANTS: dict[str, Callable[[], None]] = {
    "apart": apart, "unfenced": unfenced, "window": window, "unconditional": unconditional, "appended": appended,
}  # fmt: skip


class Variant(Batchops):
    """The command line of a variant."""

    def __init__(self, home: Path, name: str) -> None:
        super().__init__(home)
        self._name = name

    def argv(self, *args: str | Path) -> list[str]:
        return [sys.executable, "-m", "tests.crash.variants", self._name, *map(str, args)]


if __name__ == "__main__":
    VARIANTS[sys.argv.pop(1)]()
    main(sys.argv[1:])
