"""Keeps leases in columns of the queue's own table."""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from batchops.db.backend import Backend
from batchops.db.byte_limit import MOST_BYTES
from batchops.db.claims import Claimable, Claiming, MarkedLater
from batchops.db.storable_text import ForeignText
from batchops.db.types import KeyValue
from batchops.queue.claimed_mark import ClaimedMark
from batchops.queue.leases import NEVER, DeadLetter
from batchops.queue.leases.column_names import BEFORE_CLAIM, HIDDEN, LeaseColumns
from batchops.queue.queue import ALONE, Assignments, Queue, Row
from batchops.queue.rows import Condition, Rows, Savepoint, age, how_many, number
from batchops.runtime.counters import Counts

FULL = "its attempts stand at {}, the maximum of the column {}"


class ColumnLeases:
    """Leases in the columns lease, lease_until, attempts, next_at and failure, whose names may have a prefix."""

    place = "columns of the table"

    def __init__(
        self, backend: Backend, queue: Queue, names: LeaseColumns, *, whole: bool = True, moment: str | None = None,
        max_bytes: int = MOST_BYTES,
    ) -> None:  # fmt: skip
        """`whole`: whether rows are read with all their columns. `moment`: the column that gives the age of a row."""
        self._names = names
        self._backend = backend
        self._claims = backend.claims
        self._queue = queue
        self._moment = moment
        self._storable = ForeignText(backend.own_tables, queue.table.schema, queue.table.name, names.name("failure"))
        hidden = set(map(names.name, HIDDEN))
        columns = [name for name in queue.table.column_names if name not in hidden] if whole else []
        self._rows = Rows(backend, queue, columns, max_bytes)
        self._mark = ClaimedMark(backend, queue, self._rows)
        self._before = {BEFORE_CLAIM: None} if names.claimed else {}
        """What is set in a row whose mark is undone."""
        self.read = (*self._rows.read_columns, *names.names)
        self.written = names.names
        self.keeps_marks = names.claimed
        self._most = backend.claims.most(queue.table.column(names.name("attempts")))
        # The column may be the application's own, and NULL in rows that were not counted yet.
        self._counted = sa.func.coalesce(self.own("attempts"), sa.literal_column("0"))

        next_at = self.own("next_at")
        due = sa.or_(next_at.is_(None), next_at <= self._claims.now())
        free = [self.own("lease").is_(None), due, self._counted < self._most]
        self._is_free = sa.and_(*free)
        self._free = self._claiming(free, attempts=self._counted + 1)
        self._lost = self._claiming([self._expired()])
        self._done = self._rows.marking(self._marked_done)

    def claim(
        self, connection: sa.Connection, rows: int, low: KeyValue | None, token: str, seconds: float
    ) -> Sequence[Row]:
        return self._rows.rows(self._free(connection, rows, low, token, seconds))

    def rescue(
        self, connection: sa.Connection, rows: int, low: KeyValue | None, token: str, seconds: float
    ) -> Sequence[Row]:
        return self._rows.rows(self._lost(connection, rows, low, token, seconds))

    def claimable(self, connection: sa.Connection) -> bool:
        claimable = sa.or_(self._is_free, self._expired(), self._full())
        return self._rows.exists(connection, None, self._pending(), claimable)

    def lost(self, connection: sa.Connection, low: KeyValue | None) -> bool:
        return self._rows.exists(connection, low, self._pending(), sa.or_(self._expired(), self._full()))

    def mark(self, connection: sa.Connection, rows: Sequence[Row]) -> Sequence[Row]:
        marked, kept = self._mark.set(connection, rows)
        for text, keys in kept.items():
            before = self._values(before_claim=sa.literal(text, sa.Text))
            self._rows.change(connection, self._rows.update(*before), keys)
        return marked

    def unmark(self, connection: sa.Connection, token: str, keys: Sequence[KeyValue]) -> None:
        for mine in self._rows.among(keys) if self.keeps_marks else ():
            query: sa.Select[Any] = sa.select(*self._rows.out(), self.own(BEFORE_CLAIM).label("before"))
            query = query.select_from(self._queue.table.called).where(mine, self.own("lease") == token, self._marked())
            self._undo(connection, query.with_for_update() if self._backend.sessions.locks_rows else query)

    def unmark_lost(self, connection: sa.Connection, rows: int, low: KeyValue | None) -> None:
        if self.keeps_marks:
            before = [self.own(BEFORE_CLAIM).label("before")]
            query = self._rows.first_of(rows, low, [self._expired(), self._marked()], before)
            self._undo(connection, self._claims.free(query))

    def isolate(self, connection: sa.Connection, token: str, key: KeyValue, alone: str) -> bool:
        mine = self._values(lease=alone, attempts=self._counted + 1)
        return bool(self._change(connection, self._rows.update(*mine), token, [key]))

    def dead_letter_poison(
        self, connection: sa.Connection, attempts: int | None, low: KeyValue | None, reason: str, marks: Assignments
    ) -> Sequence[DeadLetter]:
        poison = sa.and_(self._expired(), self.own("lease").like(f"{ALONE}%"), self._counted >= (attempts or 0))
        where = self._full() if attempts is None else sa.or_(self._full(), poison)
        query = self._rows.candidates(100, low, [where], [self._counted.label("counted")])
        found = [(self._rows.key(row), row[-1]) for row in connection.execute(self._claims.free(query)).all()]
        dead_letters: list[DeadLetter] = []
        full_reason = FULL.format(self._most, self._names.name("attempts"))
        for why, keys in (
            (full_reason, [key for key, counted in found if counted >= self._most]),
            (reason, [key for key, counted in found if counted < self._most]),
        ):
            gone = self._rows.change(connection, self._dead_letter(connection, why, marks), keys)
            dead_letters += [(Row(key, {}), why) for key in gone]
        return dead_letters

    def ack(self, connection: sa.Connection, token: str, keys: Sequence[KeyValue], claimed: int) -> MarkedLater:
        return self._done(connection, keys, token, claimed)

    def retry(
        self, connection: sa.Connection, token: str, keys: Sequence[KeyValue], reason: str, seconds: float
    ) -> Collection[KeyValue]:
        self.unmark(connection, token, keys)
        later = self._values(
            lease=None, lease_until=None, next_at=self._claims.now() + seconds,
            failure=self._storable(connection, reason),
        )  # fmt: skip
        return self._change(connection, self._rows.update(*later), token, keys)

    def dead_letter(
        self, connection: sa.Connection, token: str, keys: Sequence[KeyValue], reason: str, marks: Assignments
    ) -> Collection[KeyValue]:
        self.unmark(connection, token, keys)
        return self._change(connection, self._dead_letter(connection, reason, marks), token, keys)

    def takes_marks(self, connection: sa.Connection, but: KeyValue, savepoint: Savepoint) -> bool | None:
        return self._rows.takes_marks(connection, but, savepoint)

    def release(self, connection: sa.Connection, token: str, keys: Sequence[KeyValue]) -> None:
        self.unmark(connection, token, keys)
        back = self._values(lease=None, lease_until=None, attempts=self._counted - 1)
        self._change(connection, self._rows.update(*back), token, keys)

    def expire(self, connection: sa.Connection, token: str, keys: Sequence[KeyValue]) -> None:
        self.unmark(connection, token, keys)
        self._change(connection, self._rows.update(*self._values(lease_until=0.0)), token, keys)

    def renew(self, connection: sa.Connection, token: str, keys: Sequence[KeyValue], seconds: float) -> None:
        longer = self._values(lease_until=self._claims.now() + seconds)
        self._change(connection, self._rows.update(*longer), token, keys)

    def still_pending(self, connection: sa.Connection, keys: Sequence[KeyValue]) -> bool:
        return self._rows.still_pending(connection, keys)

    def vetoed(self, connection: sa.Connection, token: str, keys: Sequence[KeyValue]) -> bool:
        return self._rows.still_pending(connection, keys, self.own("lease") == token)

    def first(self, connection: sa.Connection, low: KeyValue | None) -> KeyValue | None:
        alive = sa.or_(self.own("next_at").is_(None), self.own("next_at") < NEVER)
        pending = self._rows.first(connection, low, alive)
        return self._rows.first_before(connection, low, pending, self._marked()) if self.keeps_marks else pending

    def redrive(
        self, connection: sa.Connection, marks: Sequence[tuple[sa.ColumnElement[Any], Any]],
        keys: Sequence[KeyValue] | None, most: int,
    ) -> int:  # fmt: skip
        """Make dead letters claimable again, and set `marks` in them; return how many."""
        dead = self.own("next_at") >= NEVER
        if keys is None:
            query: sa.Select[Any] = sa.select(*self._rows.out()).select_from(self._queue.table.called)
            keys = [self._rows.key(row) for row in connection.execute(query.where(dead).limit(most))]
        fresh = self._values(attempts=0, next_at=None, failure=None)
        return len(self._rows.change(connection, self._rows.update(*marks, *fresh), keys, dead))

    def next_due(self, connection: sa.Connection) -> float | None:
        lease, until, next_at = map(self.own, ("lease", "lease_until", "next_at"))
        soonest = sa.func.min(sa.case((lease.is_not(None), until), else_=next_at))
        waits = sa.or_(lease.is_not(None), next_at < NEVER)
        query: sa.Select[Any] = sa.select((soonest - self._claims.now()).label("n")).select_from(
            self._queue.table.called
        )
        return number(connection.execute(query.where(self._pending(), waits)).scalar())

    def counts(self, connection: sa.Connection) -> Counts:
        now, lease, until, next_at = self._claims.now(), *map(self.own, ("lease", "lease_until", "next_at"))
        waits = sa.and_(lease.is_(None), next_at > now, next_at < NEVER)
        in_flight, lost = sa.and_(lease.is_not(None), until >= now), sa.and_(lease.is_not(None), until < now)
        free = sa.or_(sa.and_(lease.is_(None), sa.or_(next_at.is_(None), next_at <= now)), lost)
        due = sa.case((in_flight, until), (waits, next_at))
        columns: list[sa.ColumnElement[Any]] = [
            *map(how_many, (free, waits, in_flight, lost)), age(self._backend, self._queue, self._moment, free),
            sa.func.min(due) - now,
        ]  # fmt: skip
        query = sa.select(*(column.label(f"n{i}") for i, column in enumerate(columns)))
        row = connection.execute(query.select_from(self._queue.table.called).where(self._pending())).one()
        backlog, waiting, leased, expired = (int(value) for value in row[:4])
        return Counts(backlog, waiting, leased, expired, oldest=number(row[4]), next_due=number(row[5]))

    def _claiming(self, where: Sequence[Condition], **counted: sa.ColumnElement[Any]) -> Claiming:
        def candidates(rows: Any, low: KeyValue | None) -> sa.Select[Any]:
            return self._rows.candidates(rows, low, where)

        def values(token: Any, seconds: Any) -> dict[str, Any]:
            own = {"lease": token, "lease_until": self._claims.now() + seconds} | counted
            return {self._names.name(purpose): value for purpose, value in own.items()}

        queue, columns = self._queue, self._rows.read(self.own("attempts"))
        claimable = Claimable(
            queue.table, queue.key, candidates, values, columns, self._rows.limit, in_order=not queue.order
        )
        return self._claims.claiming(claimable)

    def own(self, purpose: str) -> sa.ColumnElement[Any]:
        """Return the lease column for a purpose."""
        return self._queue.column(self._names.name(purpose))

    def _marked_done(self, token: Any) -> sa.Update | sa.Delete:
        mine = self.own("lease") == token
        if self._queue.done is None:
            return self._queue.marked_done().where(mine)
        marks = self._queue.values((*self._queue.work, *self._queue.done))
        free = self._values(lease=None, lease_until=None, next_at=None, failure=None, **self._before)
        return self._rows.update(*marks, *free).where(mine)

    def _values(self, **values: Any) -> list[tuple[sa.ColumnElement[Any], Any]]:
        return [(self.own(name), value) for name, value in values.items()]

    def _expired(self) -> Condition:
        return sa.and_(self.own("lease").is_not(None), self.own("lease_until") < self._claims.now())

    def _full(self) -> Condition:
        """Return the condition for rows that are not held, and whose attempts cannot be counted any further."""
        lease, next_at = self.own("lease"), self.own("next_at")
        alive = sa.or_(next_at.is_(None), next_at < NEVER)
        return sa.and_(sa.or_(lease.is_(None), self._expired()), alive, self._counted >= self._most)

    def _marked(self) -> Condition:
        return self.own(BEFORE_CLAIM).is_not(None)

    def _pending(self) -> Condition | sa.TextClause:
        """Return the condition for rows that are pending, or have a mark that may hide that they are."""
        clause = self._queue.selection.clause
        return sa.or_(clause, self._marked()) if self.keeps_marks else clause

    def _undo(self, connection: sa.Connection, marked: sa.Select[Any]) -> None:
        kept = {self._rows.key(row): row[-1] for row in connection.execute(marked).all()}
        self._mark.undo(connection, kept, *self._values(**self._before))

    def _dead_letter(self, connection: sa.Connection, reason: str, marks: Assignments) -> sa.Update:
        own = self._values(lease=None, lease_until=None, next_at=NEVER, failure=self._storable(connection, reason))
        return self._rows.update(*self._queue.values(marks), *own)

    def _change(
        self, connection: sa.Connection, statement: sa.Update | sa.Delete, token: str, keys: Sequence[KeyValue]
    ) -> Collection[KeyValue]:
        return self._rows.change(connection, statement, keys, self.own("lease") == token)
