"""Fires: the table of fires in a job's ledger, by which only one of many schedulers starts each fire.

Each decision about a schedule is made under the lock of its row, by the database's clock.
"""

import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from batchops.db.storable_text import ForeignText
from batchops.events import State
from batchops.ledger.ledger import Ledger
from batchops.ledger.owner import Owner, this_process
from batchops.ledger.run import new_token
from batchops.ledger.schema_changes import DropColumn
from batchops.ledger.table_setup import TableSetup
from batchops.ledger.tables import schedule_tables
from batchops.scheduler.misfires import Decided, OpenFires, Schedule, decide
from batchops.spec.times import due

LEASE = 15.0
"""Seconds without a heartbeat after which a fire is taken over."""
FIRES_PER_TRANSACTION = 500
"""How many fires one transaction removes."""
KEEP = 7 * 86400.0
"""Seconds after which an ended fire is removed; a schedule's newest is kept."""
MOST = 10_000
"""How many rows are written at once for fires that were missed; older ones are of no use to anyone."""
DEATHS = 3
"""How many owners may die while they run a fire before it is given up."""
_CHANGES = (DropColumn("batchops_schedule", "seen_at"),)
"""Changes to tables that older versions created."""
AHEAD = 60.0
"""If the database's clock is set back by more than these seconds, the fires ahead of it are removed."""


@dataclass(frozen=True)
class Fire:
    """A fire that this process runs; the fencing token proves that it does."""

    schedule: str
    fire_at: int
    token: str
    taken_over: bool = False
    rows: int = 0
    """The rows that earlier owners of the fire have changed."""


@dataclass(frozen=True)
class Claimed:
    """The result of a claim on one schedule."""

    now: float
    decided: tuple[Decided, ...]
    """Every fire that got its row by this claim."""
    fire: Fire | None = None
    """The fire that the caller has to run; None if there is none."""
    waits: bool = False
    given_up: tuple[int, ...] = ()
    """Fires that have failed because too many of their owners died."""
    forgotten: int = 0
    """How many fires were removed because they were ahead of a clock that was set back."""
    last: int = 0
    """The time of the newest fire that has its row."""


@dataclass(frozen=True)
class _Locked:
    now: float
    open_at: int | None
    last: int
    forgotten: int = 0


class Fires:
    """The fires in one ledger, as one process sees and claims them."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.database = ledger, ledger.database
        meta = sa.MetaData(schema=ledger.schema)
        self.schedules, self.fires = schedule_tables(meta)
        self.tables = TableSetup(ledger.database, meta, changes=_CHANGES)
        self._storable = ForeignText(ledger.database.backend.own_tables, ledger.schema, self.fires.name, "note")
        self._process = secrets.token_hex(4)
        self._held: dict[str, Fire] = {}

    def make(self, schedules: Sequence[Schedule]) -> None:
        """Create the tables and a row for each schedule; a new schedule has no fires due before this moment."""
        self.tables.make()
        with self.database.transaction() as connection:
            for schedule in schedules:
                self._register(connection, schedule)

    def claim(self, schedule: Schedule, *, free: bool) -> Claimed:
        """Write a row for every due fire, and claim the one to run now for this process if a worker is `free`."""
        token, name = f"{self._process}{new_token()}", schedule.name
        with self.database.transaction() as connection:
            locked = self._locked(connection, schedule)
            now, open_at, last = locked.now, locked.open_at, locked.last
            open_fires, given_up = self._open_fires(connection, name, open_at, now)
            decision = decide(schedule.policy, open_fires, _coming(schedule, last, now), now, free=free)
            fire = self._write(connection, name, decision.new, token, now)
            if decision.start is not None:
                fire = self._take(connection, name, decision.start, token, now)
            if (oldest := _oldest_open(open_fires, decision.new)) != open_at:
                noted = self.schedules.update().where(self.schedules.c.schedule == name)
                connection.execute(noted.values(open_at=oldest))
        if fire is not None:
            self._held[token] = fire
        newest = max([last, *(one.fire_at for one in decision.new)])
        return Claimed(now, tuple(decision.new), fire, decision.waits, given_up, locked.forgotten, newest)

    def look(self, names: Collection[str]) -> tuple[float, frozenset[str]]:
        """Return the database's clock and the schedules with open fires, without writing or locking anything."""
        query = sa.select(self.schedules.c.schedule, self.schedules.c.open_at)
        with self.database.reading() as connection:
            now = float(connection.execute(sa.select(self.database.backend.own_tables.epoch())).scalar_one())
            rows = connection.execute(query.where(self.schedules.c.schedule.in_(names))).all()
        return now, frozenset(row.schedule for row in rows if row.open_at is not None)

    def renew(self, rows_by_token: Mapping[str, int]) -> frozenset[str]:
        """Renew the leases of running fires, with their rows so far; return the tokens whose fire was taken over."""
        lost = set()
        with self.database.transaction() as connection:
            for token, rows in rows_by_token.items():
                until = self.database.backend.own_tables.epoch() + LEASE
                renewal = self._mine(token).values(lease_until=until, row_count=self._held[token].rows + rows)
                if connection.execute(renewal).rowcount != 1:
                    lost.add(token)
        return frozenset(lost)

    def finish(self, fire: Fire, state: State, rows: int, note: str) -> bool:
        """Record how the fire ended; return False if it was taken over. After an error it may be called again."""
        now = self.database.backend.own_tables.epoch()
        with self.database.transaction() as connection:
            end = self._mine(fire.token).values(
                state=state, finished_at=now, lease_until=None, row_count=fire.rows + rows,
                note=self._storable(connection, note) or None,
            )  # fmt: skip
            ended = connection.execute(end).rowcount == 1
        self._held.pop(fire.token, None)
        return ended

    def release(self, fire: Fire, rows: int) -> bool:
        """Release a fire that is half done, so that the next scheduler continues it; return False if taken over."""
        done = self._mine(fire.token).values(lease_until=0.0, attempts=self.fires.c.attempts - 1)
        with self.database.transaction() as connection:
            released = connection.execute(done.values(row_count=fire.rows + rows)).rowcount == 1
        self._held.pop(fire.token, None)
        return released

    def prune(self, older_than: float = KEEP) -> int:
        """Remove fires that ended more than so many seconds ago, except each schedule's newest; return how many."""
        with self.database.reading() as connection:
            names = list(connection.execute(sa.select(self.schedules.c.schedule)).scalars())
        return sum(self._prune(name, older_than) for name in names)

    def _prune(self, name: str, older_than: float) -> int:
        """Remove the old fires of one schedule by the primary key, a few in each transaction."""
        fires, gone = self.fires, 0
        before = self.database.backend.own_tables.epoch() - older_than
        while True:
            with self.database.transaction() as connection:
                newest = self._newest(connection, name)
                old = (fires.c.schedule == name, fires.c.fire_at < newest, fires.c.finished_at < before)
                query = sa.select(fires.c.fire_at).where(*old).order_by(fires.c.fire_at).limit(FIRES_PER_TRANSACTION)
                times = list(connection.execute(query).scalars())
                if times:
                    gone += connection.execute(fires.delete().where(*old, fires.c.fire_at <= times[-1])).rowcount
            if len(times) < FIRES_PER_TRANSACTION:
                return gone

    def _register(self, connection: sa.Connection, schedule: Schedule) -> None:
        now = self._now(connection)
        insert = self.database.backend.own_tables.insert_once(self.schedules)
        row = {"schedule": schedule.name, "times": str(schedule.times), "since": int(now)}
        connection.execute(insert.values(row))

    def _now(self, connection: sa.Connection) -> float:
        return float(connection.execute(sa.select(self.database.backend.own_tables.epoch())).scalar_one())

    def _locked(self, connection: sa.Connection, schedule: Schedule) -> "_Locked":
        """Lock the schedule's row until the transaction ends, and read it; the clock is read once it is locked."""
        query = sa.select(self.schedules.c.since, self.schedules.c.open_at)
        mine = query.where(self.schedules.c.schedule == schedule.name).with_for_update()
        row = connection.execute(mine).first()
        if row is None:  # another process has removed the row meanwhile
            self._register(connection, schedule)
            row = connection.execute(mine).one()
        now = self._now(connection)
        last = max(row.since, self._newest(connection, schedule.name))
        if last <= now + AHEAD:
            return _Locked(now, row.open_at, last)
        forgotten = self._forget_ahead(connection, schedule.name, now)
        return _Locked(
            now, row.open_at, max(min(row.since, int(now)), self._newest(connection, schedule.name)), forgotten
        )

    def _newest(self, connection: sa.Connection, name: str) -> int:
        newest = sa.select(sa.func.max(self.fires.c.fire_at)).where(self.fires.c.schedule == name)
        return connection.execute(newest).scalar() or 0

    def _forget_ahead(self, connection: sa.Connection, name: str, now: float) -> int:
        """Remove ended fires ahead of a clock that was set back: until it gets there, no new fire would be due."""
        ahead = self.fires.c.fire_at > now
        ended = self.fires.delete().where(self.fires.c.schedule == name, ahead, self.fires.c.finished_at.is_not(None))
        since = self.schedules.update().where(self.schedules.c.schedule == name, self.schedules.c.since > now)
        connection.execute(since.values(since=int(now)))
        return connection.execute(ended).rowcount

    def _open_fires(
        self, connection: sa.Connection, name: str, open_at: int | None, now: float
    ) -> tuple[OpenFires, tuple[int, ...]]:
        """Return the open fires, and those that are given up because too many of their owners died."""
        if open_at is None:
            return OpenFires(), ()
        fires = self.fires.c
        query = sa.select(fires.fire_at, fires.state, fires.owner, fires.token, fires.lease_until, fires.attempts)
        still = (fires.schedule == name, fires.fire_at >= open_at, fires.finished_at.is_(None))
        rows = connection.execute(query.where(*still).order_by(fires.fire_at)).all()
        queued = tuple(row.fire_at for row in rows if row.state == "queued")
        dead = [row for row in rows if row.state == "running" and self._abandoned(row, now)]
        running = tuple(row.fire_at for row in rows if row.state == "running" and row not in dead)
        given_up = tuple(row.fire_at for row in dead if row.attempts >= DEATHS)
        for fire_at in given_up:
            note = f"given up: {DEATHS} processes died over it"
            end = self._one(name, fire_at).values(state="failed", finished_at=now, lease_until=None, note=note)
            connection.execute(end)
        abandoned = tuple(row.fire_at for row in dead if row.fire_at not in given_up)
        return OpenFires(running, abandoned, queued), given_up

    def _abandoned(self, row: Any, now: float) -> bool:
        if row.token in self._held:
            return False
        # This process took it, but does not know: the answer to the COMMIT that took it was lost.
        mine = row.token.startswith(self._process)
        # A lease that ends far ahead was given while the database's clock was far ahead.
        left = row.lease_until - now
        return mine or left > 2 * LEASE + AHEAD or not Owner(**json.loads(row.owner)).holds(left)

    def _write(
        self, connection: sa.Connection, name: str, decided: Sequence[Decided], token: str, now: float
    ) -> Fire | None:
        """Write the rows; return the fire that this process has to run, unless another one wrote its row first."""
        insert, mine = self.database.backend.own_tables.insert_once(self.fires), None
        others = []
        for one in decided:
            row = {"schedule": name, "fire_at": one.fire_at, "state": one.state, "row_count": 0, "attempts": 0}
            if one.state == "running":
                row |= self._owned(token, now) | {"started_at": now, "attempts": 1}
                if connection.execute(insert.values(row)).rowcount == 1:
                    mine = Fire(name, one.fire_at, token)
            else:
                ended = one.state != "queued"
                others.append(
                    row | {"finished_at": now if ended else None, "note": self._storable(connection, one.note) or None}
                )
        if others:
            connection.execute(insert, others)
        return mine

    def _take(self, connection: sa.Connection, name: str, fire_at: int, token: str, now: float) -> Fire:
        """Take a fire that already has its row."""
        one = sa.select(self.fires).where(self.fires.c.schedule == name, self.fires.c.fire_at == fire_at)
        row = connection.execute(one).one()
        started = now if row.started_at is None else row.started_at
        taken = self._one(name, fire_at).values(**self._owned(token, now), state="running", started_at=started)
        connection.execute(taken.values(attempts=self.fires.c.attempts + 1))
        return Fire(name, fire_at, token, taken_over=row.state == "running", rows=row.row_count)

    def _owned(self, token: str, now: float) -> dict[str, object]:
        return {"owner": json.dumps(this_process().as_dict()), "token": token, "lease_until": now + LEASE}

    def _mine(self, token: str) -> sa.Update:
        fire = self._held[token]
        return self._one(fire.schedule, fire.fire_at).where(self.fires.c.token == token)

    def _one(self, name: str, fire_at: int) -> sa.Update:
        return self.fires.update().where(self.fires.c.schedule == name, self.fires.c.fire_at == fire_at)


def _oldest_open(open_fires: OpenFires, new: Sequence[Decided]) -> int | None:
    """Return the time of the oldest open fire, so that the next claim need not read older ones."""
    queued = [one.fire_at for one in new if one.state in ("running", "queued")]
    return min([*open_fires.running, *open_fires.abandoned, *open_fires.queued, *queued], default=None)


def _coming(schedule: Schedule, last: int, now: float) -> list[int]:
    """Return the due fires, up to the first that its jitter still delays."""
    found = due(schedule.times, last, int(now), MOST)
    held = next((n for n, at in enumerate(found) if schedule.due_at(at) > now), len(found))
    return found[:held]
