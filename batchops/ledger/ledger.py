"""Where progress lives: runs, their lanes with cursor and token, and who is at work.

Three tables in the target database unless told otherwise. A batch writes its own lane's row and no other,
in its own transaction; times are seconds since 1970 by the database's clock.
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
from batchops.ledger.run import Lane, Run, lane_of, new_token, run_of
from batchops.ledger.table_setup import Making, Standing
from batchops.ledger.tables import ledger_tables, rejected_table

FORMAT = 1
"""Of what stands in the tables; a run of another format is not resumed."""


class Ledger:
    """The ledger in one database. `inside`: it is the target's own, so work and cursor are one commit."""

    def __init__(self, database: Database, schema: str | None, *, inside: bool) -> None:
        self.database = database
        self.inside = inside
        self.schema = schema
        meta = sa.MetaData(schema=schema)
        self.runs, self.lanes, self.beats = ledger_tables(meta)
        self.rejected = rejected_table(meta)
        self.storable = {
            column: ForeignText(database.family, schema, column.table.name, column.name)
            for column in (self.runs.c.error, self.rejected.c.reason, self.rejected.c.row_name)
        }
        """Makes a text from outside storable in one of these columns."""
        self._making = Making(database, meta, "runs", MIGRATIONS)
        self._advance = _advance(self.lanes)

    def ddl(self) -> list[str]:
        """The statements that make the tables or bring them up to date; none where all is in place."""
        return self._making.ddl()

    def obstacle(self, role: str) -> RefusedError | None:
        """What keeps this role from using the ledger; None for nothing."""
        return self._making.obstacle(role)

    def standing(self, connection: sa.Connection) -> Standing:
        """Whether the tables are there, and of this version."""
        return self._making.standing(connection)

    def make(self) -> None:
        """Make the tables or bring them up to date; RefusedError with the DDL where this role may not."""
        self._making.make()

    def database_id(self, connection: sa.Connection) -> str:
        """The random id that was made with the ledger."""
        return self._making.database_id(connection)

    def latest(self, connection: sa.Connection, job: str) -> Run | None:
        """The job's last run."""
        found = self.select_runs(connection, self.runs.c.job == job, limit=1)
        return found[0] if found else None

    def select_runs(self, connection: sa.Connection, where: sa.ColumnElement[bool], *, limit: int) -> list[Run]:
        """Runs with their lanes, newest first."""
        chosen = sa.select(self.runs).where(where).order_by(self.runs.c.run.desc()).limit(limit)
        rows = connection.execute(chosen).mappings().all()
        # By a join, not by a list: there may be more runs than a statement takes values.
        numbers = chosen.with_only_columns(self.runs.c.run).subquery()
        query = sa.select(self.lanes).join(numbers, numbers.c.run == self.lanes.c.run)
        lanes = map(lane_of, connection.execute(query.order_by(self.lanes.c.run, self.lanes.c.lane)).mappings())
        by_run = {run: tuple(some) for run, some in groupby(lanes, key=lambda lane: lane.run)}
        return [run_of(row, by_run.get(row["run"], ())) for row in rows]

    def begin(self, connection: sa.Connection, run: Mapping[str, Any], cursors: Sequence[str]) -> Run:
        """A new run with a lane for each cursor. From now on no earlier run proves what the job has done."""
        earlier = self.runs.update().where(self.runs.c.job == run["job"], self.runs.c.prunable == 0)
        connection.execute(earlier.values(prunable=1))
        values = {key: json.dumps(v) if isinstance(v, dict) else v for key, v in run.items()}
        insert = self.runs.insert().values(
            **values, state="running", format=FORMAT, base_rows=0, started_at=self.database.family.epoch()
        )
        number = connection.execute(insert).inserted_primary_key[0]  # type: ignore[index]  # an insert has one
        for i, cursor in enumerate(cursors):
            self.new_lane(connection, number, i, cursor)
        return self.one(connection, number)

    def take_over(self, connection: sa.Connection, run: Run) -> Run:
        """Go on with a run: new tokens, so that whoever held the old ones writes nothing more."""
        for lane in run.lanes:
            connection.execute(self.lanes.update().where(self._is(lane)).values(token=new_token()))
        again = self.runs.update().where(self.runs.c.run == run.run)
        connection.execute(again.values(state="running", ended_at=None, error=None))
        return self.one(connection, run.run)

    def advance(self, connection: sa.Connection, old: Lane, new: Lane) -> None:
        """Record a batch in the work's own transaction; LockedError where the token is no longer ours."""
        values = {
            "cursor": new.cursor, "batches": new.batches, "rows_changed": new.rows, "rows_read": new.read,
            "rows_locked": new.locked, "rows_rejected": new.rejected,
            "of_run": old.run, "of_lane": old.lane, "held": old.token, "before": old.batches,
        }  # fmt: skip
        if connection.execute(self._advance, values).rowcount != 1:
            raise taken_over(old.run)

    def turn(self, connection: sa.Connection, lane: Lane, cursor: str) -> Lane:
        """Give a lane another way; LockedError where the token is no longer ours.

        Another token too: whoever still holds the old lane in memory must not write by it.
        """
        turned = replace(lane, cursor=cursor, token=new_token())
        done = connection.execute(
            self.lanes.update()
            .where(self._is(lane), self.lanes.c.token == lane.token, self.lanes.c.batches == lane.batches)
            .values(cursor=cursor, token=turned.token, rows_locked=turned.locked)
        )
        if done.rowcount != 1:
            raise taken_over(lane.run)
        return turned

    def new_lane(self, connection: sa.Connection, run: int, number: int, cursor: str) -> Lane:
        """One more lane of a run."""
        lane = Lane(run, number, new_token(), cursor)
        connection.execute(
            self.lanes.insert().values(
                run=run, lane=number, token=lane.token, cursor=cursor,
                batches=0, rows_changed=0, rows_read=0, rows_locked=0, rows_rejected=0,
            )
        )  # fmt: skip
        return lane

    def settled(self, lane: Lane) -> Lane:
        """The lane as it is durable now; waits for a transaction of ours that may still be ending."""
        with self.database.transaction() as connection:
            query = sa.select(self.lanes).where(self._is(lane)).with_for_update()
            return lane_of(connection.execute(query).mappings().one())

    def read(self, run: int) -> Run:
        """A run as it stands now."""
        with self.database.reading() as connection:
            return self.one(connection, run)

    def rewalk(
        self, connection: sa.Connection, run: Run, walk: str, frozen: dict[str, Any], cursor: str, over: str
    ) -> Run:
        """Go on by another walk: the first lane has its whole way, the others nothing, as `over` says it."""
        for lane in self.one(connection, run.run).lanes:
            self.turn(connection, lane, cursor if lane.lane == 0 else over)
        changed = self.runs.update().where(self.runs.c.run == run.run)
        connection.execute(changed.values(walk=walk, frozen=json.dumps(frozen)))
        return self.one(connection, run.run)

    def refreeze(self, connection: sa.Connection, run: int, frozen: dict[str, Any]) -> None:
        """Write down what whoever goes on with the run must know."""
        connection.execute(self.runs.update().where(self.runs.c.run == run).values(frozen=json.dumps(frozen)))

    def end(self, connection: sa.Connection, run: int, state: str, error: str | None) -> None:
        """The run ended so."""
        text = error and self.storable[self.runs.c.error](connection, error)
        ending = self.runs.update().where(self.runs.c.run == run, self.runs.c.state == "running")
        connection.execute(ending.values(state=state, error=text, ended_at=self.database.family.epoch()))

    def recognise(self, connection: sa.Connection, run: int, known: Mapping[str, Any]) -> None:
        """From now on the run is known by these: its job's key, the table's name and identity."""
        connection.execute(self.runs.update().where(self.runs.c.run == run).values(**known))

    def _is(self, lane: Lane) -> sa.ColumnElement[bool]:
        return sa.and_(self.lanes.c.run == lane.run, self.lanes.c.lane == lane.lane)

    def one(self, connection: sa.Connection, number: int) -> Run:
        """The run of that number."""
        return self.select_runs(connection, self.runs.c.run == number, limit=1)[0]


def taken_over(run: int) -> LockedError:
    """What a process is told that comes back after its lease has run out."""
    return LockedError(
        f"Run {run} was taken over by another process; this one wrote nothing more.",
        "nothing is lost: see `batchops runs`.",
    )


def _advance(lanes: sa.Table) -> sa.Update:
    """Built once: putting it together for every batch would cost more than sending it."""
    given = sa.bindparam
    mine = sa.and_(lanes.c.run == given("of_run"), lanes.c.lane == given("of_lane"))
    names = ("cursor", "batches", "rows_changed", "rows_read", "rows_locked", "rows_rejected")
    update = lanes.update().where(mine, lanes.c.token == given("held"), lanes.c.batches == given("before"))
    return update.values({name: given(name) for name in names})
