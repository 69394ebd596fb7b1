"""Finds what the ledger knows of a job before it runs: its key, its last run, what became of that run's table."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.bulk.plan.inspection import Inspection
from batchops.bulk.spec import BulkSpec
from batchops.bulk.strategies import STRATEGIES
from batchops.bulk.verb import BulkVerb
from batchops.db.database import Database
from batchops.errors import RefusedError
from batchops.ledger.last_run import LastRun, find_last_run
from batchops.ledger.ledger import Ledger
from batchops.ledger.run import JobIdentity, Run
from batchops.ledger.table_setup import NewerLedgerError, State


@dataclass(frozen=True)
class PreviousRun:
    """A job as the ledger knows it."""

    job: JobIdentity
    place: str
    """Where the data is, if the ledger is elsewhere."""
    last: LastRun | None = None
    ledger: State = "current"

    def key(self, connection: sa.Connection, ledger: Ledger) -> str:
        """Return the job's key. A ledger in the database itself has an id for it, which moves with the data."""
        return self.job.key(ledger.database_id(connection) if ledger.in_target else self.place)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about the ledger, for the plan."""
        if self.ledger == "older":
            return (
                "The ledger was created by an older version of batchops. The run upgrades it first; until then this "
                "plan does not know what earlier runs have done.",
            )
        return ()


def find_previous_run(
    connection: sa.Connection, database: Database, ledger: Ledger, verb: BulkVerb, spec: BulkSpec, found: Inspection
) -> PreviousRun:
    """Read the job's last run from the ledger; none if there is no ledger yet, or this role may not read it."""
    evidence = database.backend.catalog.table_identity(connection, found.table)
    asked = spec.identity() | ({"ids": found.ids.digest} if found.ids is not None else {})
    job = JobIdentity(verb.name, found.table.schema, found.table.name, asked, evidence)
    previous = PreviousRun(job, found.server.identity)
    once = not found.parsed.repeatable
    if not ledger.in_target:
        with ledger.database.reading() as elsewhere:
            return _with_last_run(elsewhere, ledger, previous, once=once)
    # On the planning connection: with SQLite a writer waits for that one.
    connection.exec_driver_sql("SAVEPOINT looking")
    try:
        return _with_last_run(connection, ledger, previous, once=once)
    except NewerLedgerError:
        raise
    except (DBAPIError, RefusedError) as error:
        translated = ledger.database.error(error) if isinstance(error, DBAPIError) else error
        if not isinstance(translated, RefusedError):
            raise
        # The role may only read the table: its dry run is still useful, and a run is refused anyway.
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT looking")
        return previous


def _with_last_run(connection: sa.Connection, ledger: Ledger, previous: PreviousRun, *, once: bool) -> PreviousRun:
    state = ledger.state(connection)
    if state != "current":
        return PreviousRun(previous.job, previous.place, None, state)
    key = previous.key(connection, ledger)
    last = find_last_run(connection, ledger, previous.job, key, once=once, names_rows=_names_rows)
    return PreviousRun(previous.job, previous.place, last)


def _names_rows(run: Run) -> bool:
    """Whether the run's keys still name the same rows; a place in a heap or partition may hold another row now."""
    by_key = bool(run.pinned["key"]) and not run.pinned["leaves"]
    return by_key and any(kind.names_rows for kind in STRATEGIES if kind.name == run.strategy)
