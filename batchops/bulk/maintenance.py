"""Maintains the table after a run: ANALYZE and VACUUM, and a look at the space that it takes."""

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import sqlalchemy as sa

from batchops.bulk.spec import BulkSpec
from batchops.db.database import Database
from batchops.db.maintenance import Statement, TableSpace
from batchops.db.table import Table
from batchops.errors import BatchopsError, Exit, RefusedError
from batchops.events import Emit, Failure, Maintaining
from batchops.finished_details import SpaceLeft
from batchops.runtime.ending import Ending
from batchops.runtime.loop import RunStats
from batchops.runtime.stop import Stop

if TYPE_CHECKING:  # the job itself imports this
    from batchops.bulk.job import BulkJob


def asked(spec: BulkSpec) -> tuple[Statement, ...]:
    """Return the statements that the user wants."""
    wanted: tuple[tuple[bool, Statement], ...] = ((spec.vacuum, "VACUUM"), (spec.analyze, "ANALYZE"))
    return tuple(statement for chosen, statement in wanted if chosen)


def refuse_what_cannot_be_had(connection: sa.Connection, database: Database, table: Table, spec: BulkSpec) -> None:
    """Raise RefusedError if the server or the role does not allow one: before the first row, not after the last."""
    for statement in asked(spec):
        if refused := database.backend.maintenance.refusal(connection, table, statement):
            why, hint = refused
            raise RefusedError(f"--{statement.lower()}: {why}.", hint)


def maintained(
    job: "BulkJob", ending: Ending, stats: RunStats, emit: Emit, stop: Stop
) -> tuple[Ending, tuple[str, ...]]:  # fmt: skip
    """Run the statements that were asked for. Return the ending, changed if one failed, and the statements done."""
    done: tuple[str, ...] = ()
    if not stats.rows or ending.error is not None or stop.asked:
        return ending, done
    for statement in asked(job.spec):
        emit(Maintaining(f"{statement} {job.plan.label}"))
        try:
            with job.database.idle() as connection:
                job.database.backend.maintenance.run(connection, job.plan.table, statement, lambda: stop.asked)
        except BatchopsError as error:
            if stop.asked:
                return ending, done
            message = f"The rows are {job.plan.verb.participle}; {statement} failed: {error.message}"
            return Ending("failed", Exit.FAILED, Failure("failed", message, f"run {statement} by hand.")), done
        done = (*done, statement)
    return ending, done


def space_now(job: "BulkJob") -> TableSpace | None:
    """Return the space that the table takes; None if the server cannot be asked."""
    with suppress(BatchopsError), job.database.reading() as connection:
        return job.database.backend.maintenance.space(connection, job.plan.table)
    return None


def space_left(job: "BulkJob", stats: RunStats, before: TableSpace | None) -> SpaceLeft | None:
    """Return the space that the table takes, and what the run freed; None if that is unknown, or nothing changed."""
    now = space_now(job) if stats.rows else None
    if now is None:
        return None
    left = SpaceLeft(now.bytes, now.free_bytes, now.dead_rows, None)
    if not job.plan.verb.removes:
        return left
    left = replace(left, returned_by=job.plan.facts.frees_space or None)
    table = job.plan.table
    row_bytes = table.bytes / table.rows if table.bytes and table.rows else None
    maintenance = job.database.backend.maintenance
    freed = None if before is None else maintenance.freed(before, now, stats.rows, row_bytes)
    return left if freed is None else replace(left, freed_bytes=freed.bytes, freed_basis=freed.basis)
