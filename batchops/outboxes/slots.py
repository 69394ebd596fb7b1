"""Who relays an outbox: one process, or one for each part of the aggregates; by leases that every mark proves."""

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.errors import BatchopsError, LockedError, RowRefusedError
from batchops.ledger.owner import Owner, this_process


@dataclass(frozen=True)
class Slot:
    """One slot, and whoever has it."""

    slot: int
    owner: Owner | None
    left: float
    """Seconds until its lease runs out; negative: it has."""

    @property
    def free(self) -> bool:
        return self.owner is None or self.left <= 0 or self.owner.gone()


class Slots:
    """This process's slots of one outbox."""

    def __init__(
        self, database: Database, table: sa.Table, relation: str, slots: int, seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.mine: tuple[int, ...] = ()
        self.count = slots
        self._database = database
        self._relation = relation
        self._seconds = seconds
        self._clock = clock
        self._table = table
        self._token = secrets.token_hex(8)
        self._renewed = 0.0
        self._guard = threading.RLock()

    def acquire(self, most: int) -> bool:
        """Take up to so many free slots more; whether there was one. LockedError: another count of slots is in use."""
        with self._guard:
            try:
                with self._database.transaction() as connection:
                    taken = self._take(connection, most)
            except RowRefusedError:  # another relay made the rows at this moment
                return False
            self.mine = tuple(sorted({*self.mine, *taken}))
            if taken:
                self._renewed = self._clock()
            return bool(taken)

    def prove(self, connection: sa.Connection) -> None:
        """Renew the leases in the caller's own transaction; LockedError where they are another's by now."""
        with self._guard:
            renewal = self._own(sa.update(self._table)).values(lease_until=self._now() + self._seconds)
            if connection.execute(renewal).rowcount != len(self.mine) or not self.mine:
                raise LockedError(
                    f'Another relay has taken over "{self._relation}"; this one marked nothing more.',
                    "see `batchops outbox show`.",
                )
            self._renewed = self._clock()

    def renew(self) -> None:
        """Prove them in a transaction of their own."""
        with self._database.transaction() as connection:
            self.prove(connection)

    def certain(self) -> bool:
        """Whether the leases cannot have run out since they were last renewed."""
        return self._clock() - self._renewed < self._seconds * 0.8

    def release(self) -> None:
        """Let go of all; where that fails they run out by themselves."""
        with self._guard:
            if not self.mine:
                return
            with suppress(BatchopsError), self._database.transaction() as connection:
                connection.execute(self._own(sa.update(self._table)).values(token=None, owner=None, lease_until=0.0))
            self.mine = ()

    @contextmanager
    def beating(self, lost: Callable[[], None]) -> Iterator[None]:
        """Renew three times in a lease's length, from a thread; `lost` is told once they are another's."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(self._seconds / 3):
                try:
                    if self.mine and self._clock() - self._renewed > self._seconds / 4:
                        self.renew()
                except LockedError:
                    lost()
                    return
                except BatchopsError:
                    continue  # the token in the marking transaction is what really protects

        thread = threading.Thread(target=beat, name="batchops-heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            self.release()

    def _take(self, connection: sa.Connection, most: int) -> list[int]:
        query = _query(self._database, self._table, self._relation).with_for_update()
        there = _slots(connection, query)
        if len(there) != self.count:
            there = self._laid_out(connection, there)
        free = [slot.slot for slot in there if slot.free and slot.slot not in self.mine][:most]
        if free:
            mine = {"token": self._token, "owner": json.dumps(this_process().as_dict())}
            taken = sa.update(self._table).where(self._its(), self._table.c.slot.in_(free))
            connection.execute(taken.values(**mine, lease_until=self._now() + self._seconds))
        return free

    def _laid_out(self, connection: sa.Connection, there: Sequence[Slot]) -> Sequence[Slot]:
        if any(not slot.free for slot in there):
            raise LockedError(
                f'Relays with --slots {len(there)} are at work on "{self._relation}".',
                f"use --slots {len(there)} too, or end them first.",
            )
        connection.execute(sa.delete(self._table).where(self._its()))
        rows = [{"relation": self._relation, "slot": slot, "lease_until": 0.0} for slot in range(self.count)]
        connection.execute(sa.insert(self._table), rows)
        return [Slot(slot, None, 0.0) for slot in range(self.count)]

    def _own(self, statement: sa.Update) -> sa.Update:
        return statement.where(self._its(), self._table.c.token == self._token)

    def _its(self) -> sa.ColumnElement[bool]:
        return self._table.c.relation == self._relation

    def _now(self) -> sa.ColumnElement[float]:
        return self._database.family.epoch()


def slots_of(connection: sa.Connection, database: Database, table: sa.Table, relation: str) -> Sequence[Slot]:
    """Every slot of an outbox."""
    return _slots(connection, _query(database, table, relation))


def _query(database: Database, table: sa.Table, relation: str) -> sa.Select[tuple[int, str, float]]:
    """What tells of the slots of an outbox."""
    columns = table.c
    left = (columns.lease_until - database.family.epoch()).label("left")
    return sa.select(columns.slot, columns.owner, left).where(columns.relation == relation).order_by(columns.slot)


def _slots(connection: sa.Connection, query: sa.Select[tuple[int, str, float]]) -> Sequence[Slot]:
    return [
        Slot(row.slot, Owner(**json.loads(row.owner)) if row.owner else None, float(row.left))
        for row in connection.execute(query)
    ]
