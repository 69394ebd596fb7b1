"""What is done for the table once a run has changed its rows: ANALYZE and VACUUM, and a look at the space it takes."""

from contextlib import suppress
from typing import TYPE_CHECKING

import sqlalchemy as sa

from batchops.bulk.spec import BulkSpec
from batchops.db.database import Database
from batchops.db.maintenance import Statement
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
    """The statements that the user wants."""
    wanted: tuple[tuple[bool, Statement], ...] = ((spec.vacuum, "VACUUM"), (spec.analyze, "ANALYZE"))
    return tuple(statement for chosen, statement in wanted if chosen)


def refuse_what_cannot_be_had(connection: sa.Connection, database: Database, table: Table, spec: BulkSpec) -> None:
    """RefusedError where the server or the role does not allow one: before the first row, not after the last."""
    for statement in asked(spec):
        if refused := database.backend.maintenance.refusal(connection, table, statement):
            why, hint = refused
            raise RefusedError(f"--{statement.lower()}: {why}.", hint)


def maintained(
    job: "BulkJob", ending: Ending, stats: RunStats, emit: Emit, stop: Stop
) -> tuple[Ending, tuple[str, ...]]:  # fmt: skip
    """The ending, after the statements that were asked for, and these; another ending where a statement failed."""
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


def space_left(job: "BulkJob", stats: RunStats) -> SpaceLeft | None:
    """What the table takes now; None where nothing was changed, or the server cannot be asked."""
    if not stats.rows:
        return None
    with suppress(BatchopsError), job.database.reading() as connection:
        found = job.database.backend.maintenance.space(connection, job.plan.table)
        returns = job.plan.facts.frees_space if job.plan.verb.removes else ""
        return SpaceLeft(found.bytes, found.free_bytes, found.dead_rows, returns or None)
    return None
