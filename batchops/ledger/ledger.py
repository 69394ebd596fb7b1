"""Where progress lives: runs, their lanes with cursor and token, and who is at work.

Three tables in the target database unless told otherwise. A batch writes its own lane's row and no other,
in its own transaction; times are seconds since 1970 by the database's clock.
"""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.errors import LockedError
from batchops.ledger.tables import Making, ledger_tables
from batchops.walks.cursor import Cursor
from batchops.walks.part import Part

FORMAT = 1
"""Of what stands in the tables; a run of another format is not resumed."""


@dataclass(frozen=True)
class Lane:
    """One cursor's row. `token` proves that its holder is still the one at work."""

    run: int
    lane: int
    token: str
    cursor: Cursor
    batches: int = 0
    rows: int = 0
    read: int = 0
    locked: int = 0
    rejected: int = 0

    def advanced(self, cursor: Cursor, part: Part, rows: int, rejected: int = 0) -> "Lane":
        """This lane one batch later."""
        return replace(
            self,
            cursor=cursor,
            batches=self.batches + 1,
            rows=self.rows + rows,
            read=self.read + part.read,
            locked=self.locked + part.locked,
            rejected=self.rejected + rejected,
        )


@dataclass(frozen=True)
class Run:
    """A run as the ledger keeps it. `state` is "running" or the reason it ended."""

    run: int
    job: str
    verb: str
    table: str
    walk: str
    state: str
    wanted: dict[str, Any]
    """The job as it was asked for: predicate, expressions."""
    frozen: dict[str, Any]
    """What was decided at its start and holds for all of it: the predicate with its moment, the key."""
    by: dict[str, Any]
    format: int
    started_at: float
    ended_at: float | None
    base_rows: int
    """Rows the run had changed when its present allowance began."""
    error: str | None
    lanes: tuple[Lane, ...] = ()

    @property
    def rows(self) -> int:
        return sum(lane.rows for lane in self.lanes) + int(self.frozen.get("dropped_rows", 0))

    @property
    def rejected(self) -> int:
        return sum(lane.rejected for lane in self.lanes)

    @property
    def locked(self) -> int:
        return sum(lane.locked for lane in self.lanes)

    @property
    def read(self) -> int:
        return sum(lane.read for lane in self.lanes)

    @property
    def batches(self) -> int:
        return sum(lane.batches for lane in self.lanes)


class Ledger:
    """The ledger in one database. `inside`: it is the target's own, so work and cursor are one commit."""

    def __init__(self, database: Database, schema: str | None, *, inside: bool) -> None:
        self.database = database
        self.inside = inside
        self.schema = schema
        meta = sa.MetaData(schema=schema)
        self.runs, self.lanes, self.beats = ledger_tables(meta)
        self._making = Making(database, meta)
        self._advance = _advance(self.lanes)

    def ddl(self) -> list[str]:
        """The statements that make the tables."""
        return self._making.ddl()

    def exists(self, connection: sa.Connection) -> bool:
        """Whether the tables are there."""
        return self._making.exists(connection)

    def make(self) -> None:
        """Make the tables where they are missing; RefusedError with the DDL where this role may not."""
        self._making.make()

    def latest(self, connection: sa.Connection, job: str) -> Run | None:
        """The job's last run."""
        found = self.select_runs(connection, self.runs.c.job == job, limit=1)
        return found[0] if found else None

    def select_runs(self, connection: sa.Connection, where: sa.ColumnElement[bool], *, limit: int) -> list[Run]:
        """Runs with their lanes, newest first."""
        query = sa.select(self.runs).where(where).order_by(self.runs.c.run.desc()).limit(limit)
        rows = connection.execute(query).mappings().all()
        query_lanes = sa.select(self.lanes).where(self.lanes.c.run.in_([r["run"] for r in rows]))
        lanes = [_lane(row) for row in connection.execute(query_lanes.order_by(self.lanes.c.lane)).mappings()]
        return [_run(row, tuple(x for x in lanes if x.run == row["run"])) for row in rows]

    def begin(self, connection: sa.Connection, run: dict[str, Any], cursors: Sequence[Cursor]) -> Run:
        """A new run with a lane for each cursor."""
        values = {key: json.dumps(v) if isinstance(v, dict) else v for key, v in run.items()}
        insert = self.runs.insert().values(
            **values, state="running", format=FORMAT, base_rows=0, started_at=self.database.family.epoch()
        )
        number = connection.execute(insert).inserted_primary_key[0]  # type: ignore[index]  # an insert has one
        for i, cursor in enumerate(cursors):
            self.new_lane(connection, number, i, cursor)
        return self._one(connection, number)

    def take_over(self, connection: sa.Connection, run: Run, base_rows: int) -> Run:
        """Go on with a run: new tokens, so that whoever held the old ones writes nothing more."""
        for lane in run.lanes:
            connection.execute(self.lanes.update().where(self._is(lane)).values(token=_token()))
        again = self.runs.update().where(self.runs.c.run == run.run)
        connection.execute(again.values(state="running", ended_at=None, error=None, base_rows=base_rows))
        return self._one(connection, run.run)

    def advance(self, connection: sa.Connection, old: Lane, new: Lane) -> None:
        """Record a batch in the work's own transaction; LockedError where the token is no longer ours."""
        values = {
            "cursor": new.cursor.dumped(), "batches": new.batches, "rows_changed": new.rows, "rows_read": new.read,
            "rows_locked": new.locked, "rows_rejected": new.rejected,
            "of_run": old.run, "of_lane": old.lane, "held": old.token, "before": old.batches,
        }  # fmt: skip
        if connection.execute(self._advance, values).rowcount != 1:
            raise taken_over(old.run)

    def turn(self, connection: sa.Connection, lane: Lane, cursor: Cursor) -> Lane:
        """Give a lane another way; LockedError where the token is no longer ours.

        Another token too: whoever still holds the old lane in memory must not write by it.
        """
        turned = replace(lane, cursor=cursor, token=_token())
        done = connection.execute(
            self.lanes.update()
            .where(self._is(lane), self.lanes.c.token == lane.token, self.lanes.c.batches == lane.batches)
            .values(cursor=cursor.dumped(), token=turned.token, rows_locked=turned.locked)
        )
        if done.rowcount != 1:
            raise taken_over(lane.run)
        return turned

    def new_lane(self, connection: sa.Connection, run: int, number: int, cursor: Cursor) -> Lane:
        """One more lane of a run."""
        lane = Lane(run, number, _token(), cursor)
        connection.execute(
            self.lanes.insert().values(
                run=run, lane=number, token=lane.token, cursor=cursor.dumped(),
                batches=0, rows_changed=0, rows_read=0, rows_locked=0, rows_rejected=0,
            )
        )  # fmt: skip
        return lane

    def settled(self, lane: Lane) -> Lane:
        """The lane as it is durable now; waits for a transaction of ours that may still be ending."""
        with self.database.transaction() as connection:
            query = sa.select(self.lanes).where(self._is(lane)).with_for_update()
            return _lane(connection.execute(query).mappings().one())

    def read(self, run: int) -> Run:
        """A run as it stands now."""
        with self.database.reading() as connection:
            return self._one(connection, run)

    def rewalk(self, connection: sa.Connection, run: Run, walk: str, frozen: dict[str, Any], cursor: Cursor) -> Run:
        """Go on by another walk: the first lane has its whole way, the others nothing."""
        for lane in self._one(connection, run.run).lanes:
            self.turn(connection, lane, cursor if lane.lane == 0 else Cursor(()))
        changed = self.runs.update().where(self.runs.c.run == run.run)
        connection.execute(changed.values(walk=walk, frozen=json.dumps(frozen)))
        return self._one(connection, run.run)

    def refreeze(self, connection: sa.Connection, run: int, frozen: dict[str, Any]) -> None:
        """Write down what whoever goes on with the run must know."""
        connection.execute(self.runs.update().where(self.runs.c.run == run).values(frozen=json.dumps(frozen)))

    def end(self, connection: sa.Connection, run: int, state: str, error: str | None) -> None:
        """The run ended so."""
        ending = self.runs.update().where(self.runs.c.run == run, self.runs.c.state == "running")
        connection.execute(ending.values(state=state, error=error, ended_at=self.database.family.epoch()))

    def prune(self, connection: sa.Connection, older_than: float) -> int:
        """Forget runs that ended more than so many seconds ago; the number forgotten."""
        old = sa.select(self.runs.c.run).where(self.runs.c.ended_at < self.database.family.epoch() - older_than)
        numbers = list(connection.execute(old).scalars())
        connection.execute(self.lanes.delete().where(self.lanes.c.run.in_(numbers)))
        connection.execute(self.runs.delete().where(self.runs.c.run.in_(numbers)))
        return len(numbers)

    def _is(self, lane: Lane) -> sa.ColumnElement[bool]:
        return sa.and_(self.lanes.c.run == lane.run, self.lanes.c.lane == lane.lane)

    def _one(self, connection: sa.Connection, number: int) -> Run:
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


def _token() -> str:
    return secrets.token_hex(8)


def _lane(row: Any) -> Lane:
    return Lane(
        row["run"], row["lane"], row["token"], Cursor.loaded(row["cursor"]),
        row["batches"], row["rows_changed"], row["rows_read"], row["rows_locked"], row["rows_rejected"],
    )  # fmt: skip


def _run(row: Any, lanes: tuple[Lane, ...]) -> Run:
    return Run(
        run=row["run"], job=row["job"], verb=row["verb"], table=row["table_name"], walk=row["walk"],
        state=row["state"], wanted=json.loads(row["wanted"]), frozen=json.loads(row["frozen"]),
        by=json.loads(row["started_by"]), format=row["format"], started_at=row["started_at"],
        ended_at=row["ended_at"], base_rows=row["base_rows"], error=row["error"], lanes=lanes,
    )  # fmt: skip
