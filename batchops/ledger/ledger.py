"""Ledger: reads and writes runs, their workers' checkpoints and fencing tokens, and leases.

The tables are in the target database unless the user names another. A batch writes only its worker's row, in its own
transaction. Times are seconds since 1970 by the database's clock.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.db.storable_text import ForeignText
from batchops.errors import LockedError, RefusedError
from batchops.ledger.migrations import MIGRATIONS
from batchops.ledger.run import Run, Worker, new_token, run_of, worker_of
from batchops.ledger.table_setup import State, TableSetup
from batchops.ledger.tables import (
    event_table,
    ledger_tables,
    plan_table,
    rejected_table,
    request_table,
    sample_table,
    spool_tables,
)

FORMAT = 1
"""The format of what the tables hold; a run of another format is not resumed."""


class Ledger:
    """The ledger in one database; `in_target`: in the target database, so that work and cursor are one commit."""

    def __init__(self, database: Database, schema: str | None, *, inside: bool) -> None:
        self.database = database
        self.in_target = inside
        self.schema = schema
        meta = sa.MetaData(schema=schema)
        self.runs, self.workers, self.leases = ledger_tables(meta)
        self.rejected = rejected_table(meta)
        self.requests = request_table(meta)
        self.samples = sample_table(meta)
        self.spools, self.segments = spool_tables(meta)
        self.plans, self.events = plan_table(meta), event_table(meta)
        self.storable = {
            column: ForeignText(database.backend.own_tables, schema, column.table.name, column.name)
            for column in (
                self.runs.c.error,
                self.rejected.c.reason,
                self.rejected.c.row_name,
                self.requests.c.reason,
                self.samples.c.waiting,
            )
        }
        """For each of these columns, the function that makes a foreign text storable in it."""
        self._setup = TableSetup(database, meta, "runs", MIGRATIONS)
        self._advance = _advance(self.workers)

    def ddl(self) -> list[str]:
        """Return the statements that create the tables or bring them up to date; none if nothing is missing."""
        return self._setup.ddl()

    def obstacle(self, role: str) -> RefusedError | None:
        """Return the error that keeps this role from using the ledger; None if there is none."""
        return self._setup.obstacle(role)

    def state(self, connection: sa.Connection) -> State:
        """Return whether the tables exist and are of this version."""
        return self._setup.state(connection)

    def make(self) -> None:
        """Create the tables or bring them up to date; raise RefusedError with the DDL if this role may not."""
        self._setup.make()

    def database_id(self, connection: sa.Connection) -> str:
        """Return the random id that was made with the ledger."""
        return self._setup.database_id(connection)

    def latest(self, connection: sa.Connection, job: str) -> Run | None:
        """Return the last run of the job; None if there is none."""
        found = self.select_runs(connection, self.runs.c.job == job, limit=1)
        return found[0] if found else None

    def select_runs(self, connection: sa.Connection, where: sa.ColumnElement[bool], *, limit: int) -> list[Run]:
        """Return the runs that match, with their workers, newest first."""
        chosen = sa.select(self.runs).where(where).order_by(self.runs.c.run.desc()).limit(limit)
        rows = connection.execute(chosen).mappings().all()
        # By a join, not by a list of numbers: there may be more runs than a statement takes parameters.
        numbers = chosen.with_only_columns(self.runs.c.run).subquery()
        query = sa.select(self.workers).join(numbers, numbers.c.run == self.workers.c.run)
        workers = map(
            worker_of, connection.execute(query.order_by(self.workers.c.run, self.workers.c.worker)).mappings()
        )
        by_run = {run: tuple(some) for run, some in groupby(workers, key=lambda worker: worker.run)}
        return [run_of(row, by_run.get(row["run"], ())) for row in rows]

    def begin(self, connection: sa.Connection, run: Mapping[str, Any], cursors: Sequence[str]) -> Run:
        """Record a new run with a worker for each cursor; earlier runs no longer prove what the job has done."""
        earlier = self.runs.update().where(self.runs.c.job == run["job"], self.runs.c.prunable == 0)
        connection.execute(earlier.values(prunable=1))
        values = {key: json.dumps(v) if isinstance(v, dict) else v for key, v in run.items()}
        insert = self.runs.insert().values(
            **values, state="running", format=FORMAT, base_rows=0, started_at=self.database.backend.own_tables.epoch()
        )
        number = connection.execute(insert).inserted_primary_key[0]  # type: ignore[index]  # an insert has one
        for i, cursor in enumerate(cursors):
            self.new_worker(connection, number, i, cursor)
        return self.one(connection, number)

    def take_over(self, connection: sa.Connection, run: Run) -> Run:
        """Continue a run with new fencing tokens, so that a process with the old ones can write nothing more."""
        for worker in run.workers:
            connection.execute(self.workers.update().where(self._row_of(worker)).values(token=new_token()))
        again = self.runs.update().where(self.runs.c.run == run.run)
        connection.execute(again.values(state="running", ended_at=None, error=None))
        return self.one(connection, run.run)

    def advance(self, connection: sa.Connection, old: Worker, new: Worker) -> None:
        """Record a batch in its own transaction; raise LockedError if the worker has another fencing token by now."""
        values = {
            "cursor": new.cursor, "batches": new.batches, "rows_changed": new.rows, "rows_read": new.read,
            "rows_locked": new.locked, "rows_rejected": new.rejected,
            "rows_by_table": json.dumps(new.tables, sort_keys=True) if new.tables else None,
            "of_run": old.run, "of_worker": old.number, "held": old.token, "before": old.batches,
        }  # fmt: skip
        if connection.execute(self._advance, values).rowcount != 1:
            raise taken_over(old.run)

    def reassign(self, connection: sa.Connection, worker: Worker, cursor: str) -> Worker:
        """Give a worker another range and a new fencing token; raise LockedError if its token has changed.

        The token is new because a process that still has the old worker in memory must not write with it.
        """
        reassigned = replace(worker, cursor=cursor, token=new_token())
        done = connection.execute(
            self.workers.update()
            .where(self._row_of(worker), self.workers.c.token == worker.token, self.workers.c.batches == worker.batches)
            .values(cursor=cursor, token=reassigned.token, rows_locked=reassigned.locked)
        )
        if done.rowcount != 1:
            raise taken_over(worker.run)
        return reassigned

    def new_worker(self, connection: sa.Connection, run: int, number: int, cursor: str) -> Worker:
        """Add a worker to a run."""
        worker = Worker(run, number, new_token(), cursor)
        connection.execute(
            self.workers.insert().values(
                run=run, worker=number, token=worker.token, cursor=cursor,
                batches=0, rows_changed=0, rows_read=0, rows_locked=0, rows_rejected=0,
            )
        )  # fmt: skip
        return worker

    def durable(self, worker: Worker) -> Worker:
        """Return the worker as it is committed; waits for a transaction of this process that may still be ending."""
        with self.database.transaction() as connection:
            query = sa.select(self.workers).where(self._row_of(worker)).with_for_update()
            return worker_of(connection.execute(query).mappings().one())

    def read(self, run: int) -> Run:
        """Return the present state of a run."""
        with self.database.reading() as connection:
            return self.one(connection, run)

    def replan(
        self, connection: sa.Connection, run: Run, strategy: str, pinned: dict[str, Any], cursor: str, over: str
    ) -> Run:
        """Change the strategy: the first worker gets the whole range, the others the cursor `over`, with no rows."""
        for worker in self.one(connection, run.run).workers:
            self.reassign(connection, worker, cursor if worker.number == 0 else over)
        changed = self.runs.update().where(self.runs.c.run == run.run)
        connection.execute(changed.values(strategy=strategy, pinned=json.dumps(pinned)))
        return self.one(connection, run.run)

    def save_pinned(self, connection: sa.Connection, run: int, pinned: dict[str, Any]) -> None:
        """Record the pinned values, which a process that continues the run must know."""
        connection.execute(self.runs.update().where(self.runs.c.run == run).values(pinned=json.dumps(pinned)))

    def end(self, connection: sa.Connection, run: int, state: str, error: str | None) -> None:
        """Record the end of the run."""
        text = error and self.storable[self.runs.c.error](connection, error)
        ending = self.runs.update().where(self.runs.c.run == run, self.runs.c.state == "running")
        connection.execute(ending.values(state=state, error=text, ended_at=self.database.backend.own_tables.epoch()))

    def recognise(self, connection: sa.Connection, run: int, known: Mapping[str, Any]) -> None:
        """Record what identifies the run: the key of its job, the name and the identity of its table."""
        connection.execute(self.runs.update().where(self.runs.c.run == run).values(**known))

    def _row_of(self, worker: Worker) -> sa.ColumnElement[bool]:
        return sa.and_(self.workers.c.run == worker.run, self.workers.c.worker == worker.number)

    def one(self, connection: sa.Connection, number: int) -> Run:
        """Return the run with that number."""
        return self.select_runs(connection, self.runs.c.run == number, limit=1)[0]


def taken_over(run: int) -> LockedError:
    """Return the error for a process that continues after another one has taken over its run."""
    return LockedError(
        f"Run {run} was taken over by another process; this one wrote nothing more.",
        "nothing is lost: see `batchops runs`.",
    )


def _advance(workers: sa.Table) -> sa.Update:
    """Return the statement that advances a worker, built once: to build it costs more than to send it."""
    given = sa.bindparam
    mine = sa.and_(workers.c.run == given("of_run"), workers.c.worker == given("of_worker"))
    names = ("cursor", "batches", "rows_changed", "rows_read", "rows_locked", "rows_rejected", "rows_by_table")
    update = workers.update().where(mine, workers.c.token == given("held"), workers.c.batches == given("before"))
    return update.values({name: given(name) for name in names})
