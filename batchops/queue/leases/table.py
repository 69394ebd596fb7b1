"""Keeps leases in a table beside the queue's own, for tables that cannot get further columns."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from batchops.db.backend import Backend
from batchops.db.byte_limit import MOST_BYTES
from batchops.db.claims import MarkedLater
from batchops.db.storable_text import ForeignText
from batchops.db.types import KeyValue
from batchops.queue.claimed_mark import ClaimedMark
from batchops.queue.leases import NEVER, DeadLetter
from batchops.queue.leases.ddl import LEASES, TABLE
from batchops.queue.queue import ALONE, Assignments, Queue, Row
from batchops.queue.rows import Condition, Rows, Savepoint, age, how_many, number
from batchops.runtime.counters import Counts


class TableLeases:
    """Leases in the table batchops_row_lease, which has a row for each claimed, failed or dead row of any queue.

    The queue's row is locked before its lease is read to be changed. So claims of one row come one after the other.
    """

    place = f"the table {TABLE}"
    written = ()

    def __init__(
        self, backend: Backend, queue: Queue, *, whole: bool = True, moment: str | None = None,
        max_bytes: int = MOST_BYTES, claimed: bool = True,
    ) -> None:  # fmt: skip
        """`whole`: whether rows are read with all their columns. `moment`: the column that gives the age of a row.

        `claimed`: whether there is a column for what --claimed overwrites.
        """
        self._backend = backend
        self._claims = backend.claims
        self._queue = queue
        self._moment = moment
        self._storable = ForeignText(backend.own_tables, None, TABLE, "failure")
        self._relation = queue.table.label
        self._rows = Rows(backend, queue, queue.table.column_names if whole else [], max_bytes)
        self._mark = ClaimedMark(backend, queue, self._rows)
        self._done = self._rows.marking(lambda _: queue.marked_done())
        self.keeps_marks = claimed
        self.read = self._rows.read_columns
        self.row_name = backend.claims.row_name(queue.table, queue.key)

    def claim(
        self, connection: sa.Connection, rows: int, low: KeyValue | None, token: str, seconds: float
    ) -> Sequence[Row]:
        found = self._locked(connection, rows, low, sa.not_(self._has(self._blocked())))
        return self._take(connection, found, token, seconds, sa.not_(self._blocked()), 1)

    def rescue(
        self, connection: sa.Connection, rows: int, low: KeyValue | None, token: str, seconds: float
    ) -> Sequence[Row]:
        found = self._locked(connection, rows, low, self._has(self._expired()))
        return self._take(connection, found, token, seconds, self._expired(), 0)

    def claimable(self, connection: sa.Connection) -> bool:
        free = sa.not_(self._has(self._blocked()))
        return self._rows.exists(connection, None, self._queue.selection.clause, free) or self.lost(connection, None)

    def lost(self, connection: sa.Connection, low: KeyValue | None) -> bool:  # noqa: ARG002  this search is short
        one = sa.select(LEASES.c.row_key).where(LEASES.c.relation == self._relation, self._expired()).limit(1)
        return connection.execute(one).first() is not None

    def mark(self, connection: sa.Connection, rows: Sequence[Row]) -> Sequence[Row]:
        marked, kept = self._mark.set(connection, rows)
        for text, keys in kept.items():
            self._update(connection, self._names(connection, keys), before_claim=text)
        return marked

    def unmark(self, connection: sa.Connection, token: str, keys: Sequence[KeyValue]) -> None:
        self._unmark(connection, self._held(connection, token, keys))

    def unmark_lost(self, connection: sa.Connection, rows: int, low: KeyValue | None) -> None:
        if not self.keeps_marks:
            return
        marked = (self._expired(), LEASES.c.before_claim.is_not(None))
        query = self._rows.first_of(rows, low, [self._has(*marked)], [self.row_name])
        labelled = query.with_only_columns(*(c.label(f"c{i}") for i, c in enumerate(query.inner_columns)))
        found = {row[-1]: self._rows.key(row) for row in connection.execute(self._claims.free(labelled)).all()}
        lost = self._still(connection, list(found), sa.and_(*marked))
        self._unmark(connection, {name: found[name] for name in lost})

    def isolate(self, connection: sa.Connection, token: str, key: KeyValue, alone: str) -> bool:
        held = list(self._held(connection, token, [key]))
        self._update(connection, held, lease=alone, attempts=LEASES.c.attempts + 1)
        return bool(held)

    def dead_letter_poison(
        self, connection: sa.Connection, attempts: int | None, low: KeyValue | None, reason: str, marks: Assignments
    ) -> Sequence[DeadLetter]:
        if attempts is None:
            return ()
        poison = (self._expired(), LEASES.c.lease.like(f"{ALONE}%"), LEASES.c.attempts >= attempts)
        found = self._locked(connection, 100, low, self._has(*poison))
        names = self._still(connection, list(found), sa.and_(*poison))
        keys = [found[name].key for name in names]
        self._dead_letter(connection, keys, names, reason, marks)
        return [(Row(key, {}), reason) for key in keys]

    def ack(self, connection: sa.Connection, token: str, keys: Sequence[KeyValue], claimed: int) -> MarkedLater:  # noqa: ARG002  the queue's own rows have no token
        held = self._held(connection, token, keys)
        marked = self._done(connection, list(held.values()), token)
        for names in _chunks(list(held)):
            connection.execute(sa.delete(LEASES).where(*self._of(names)))
        return marked

    def retry(
        self, connection: sa.Connection, token: str, keys: Sequence[KeyValue], reason: str, seconds: float
    ) -> Collection[KeyValue]:
        held = self._held(connection, token, keys)
        self._unmark(connection, held)
        self._update(
            connection, list(held), lease=None, lease_until=None, failure=self._storable(connection, reason),
            next_at=self._claims.now() + seconds,
        )  # fmt: skip
        return set(held.values())

    def dead_letter(
        self, connection: sa.Connection, token: str, keys: Sequence[KeyValue], reason: str, marks: Assignments
    ) -> Collection[KeyValue]:
        held = self._held(connection, token, keys)
        self._unmark(connection, held)
        self._dead_letter(connection, list(held.values()), list(held), reason, marks)
        return set(held.values())

    def takes_marks(self, connection: sa.Connection, but: KeyValue, savepoint: Savepoint) -> bool | None:
        return self._rows.takes_marks(connection, but, savepoint)

    def release(self, connection: sa.Connection, token: str, keys: Sequence[KeyValue]) -> None:
        held = self._held(connection, token, keys)
        self._unmark(connection, held)
        self._update(connection, list(held), lease=None, lease_until=None, attempts=LEASES.c.attempts - 1)

    def expire(self, connection: sa.Connection, token: str, keys: Sequence[KeyValue]) -> None:
        held = self._held(connection, token, keys)
        self._unmark(connection, held)
        self._update(connection, list(held), lease_until=0.0)

    def renew(self, connection: sa.Connection, token: str, keys: Sequence[KeyValue], seconds: float) -> None:
        self._update(connection, list(self._held(connection, token, keys)), lease_until=self._claims.now() + seconds)

    def still_pending(self, connection: sa.Connection, keys: Sequence[KeyValue]) -> bool:
        return self._rows.still_pending(connection, keys)

    def vetoed(self, connection: sa.Connection, token: str, keys: Sequence[KeyValue]) -> bool:  # noqa: ARG002  `ack` has deleted its leases
        return self._rows.still_pending(connection, keys, sa.not_(self._has()))

    def first(self, connection: sa.Connection, low: KeyValue | None) -> KeyValue | None:
        pending = self._rows.first(connection, low, sa.not_(self._has(LEASES.c.next_at >= NEVER)))
        return self._rows.first_before(connection, low, pending, self._marked()) if self.keeps_marks else pending

    def redrive(
        self, connection: sa.Connection, marks: Sequence[tuple[sa.ColumnElement[Any], Any]],
        keys: Sequence[KeyValue] | None, most: int,
    ) -> int:  # fmt: skip
        """Make dead letters claimable again, and set `marks` in them; return how many."""
        dead_letters = sa.select(LEASES.c.row_key).where(LEASES.c.relation == self._relation, LEASES.c.next_at >= NEVER)
        if keys is None:
            names = list(connection.execute(dead_letters.limit(most)).scalars())
        else:
            names = [name for some in _chunks(self._names(connection, keys)) for name in
                     connection.execute(dead_letters.where(LEASES.c.row_key.in_(some))).scalars()]  # fmt: skip
        for some in _chunks(names if marks else []):
            mine = sa.update(self._queue.table.called).where(self.row_name.in_(some))
            connection.execute(mine.ordered_values(*marks))
        for some in _chunks(names):
            connection.execute(sa.delete(LEASES).where(*self._of(some)))
        return len(names)

    def _names(self, connection: sa.Connection, keys: Sequence[KeyValue]) -> list[str]:
        query = sa.select(self.row_name).select_from(self._queue.table.called)
        return [name for mine in self._rows.among(keys) for name in connection.execute(query.where(mine)).scalars()]

    def next_due(self, connection: sa.Connection) -> float | None:
        lease, until, next_at = LEASES.c.lease, LEASES.c.lease_until, LEASES.c.next_at
        soonest = sa.func.min(sa.case((lease.is_not(None), until), else_=next_at))
        waits = sa.or_(lease.is_not(None), next_at < NEVER)
        query: sa.Select[Any] = sa.select((soonest - self._claims.now()).label("n"))
        return number(connection.execute(query.where(LEASES.c.relation == self._relation, waits)).scalar())

    def counts(self, connection: sa.Connection) -> Counts:
        now, lease, until, next_at = self._claims.now(), LEASES.c.lease, LEASES.c.lease_until, LEASES.c.next_at
        waits = sa.and_(lease.is_(None), next_at > now, next_at < NEVER)
        in_flight, lost = sa.and_(lease.is_not(None), until >= now), sa.and_(lease.is_not(None), until < now)
        columns: list[sa.ColumnElement[Any]] = [
            *map(how_many, (waits, in_flight, lost, next_at >= NEVER)),
            sa.func.min(sa.case((in_flight, until), (waits, next_at))) - now,
        ]  # fmt: skip
        query: sa.Select[Any] = sa.select(*(column.label(f"n{i}") for i, column in enumerate(columns)))
        row = connection.execute(query.select_from(LEASES).where(LEASES.c.relation == self._relation)).one()
        waiting, leased, expired, dead_letters = (int(value) for value in row[:4])
        whole, oldest = self._pending(connection)
        free = max(0, whole - waiting - leased - dead_letters)
        return Counts(free, waiting, leased, expired, oldest=oldest, next_due=number(row[4]))

    def _pending(self, connection: sa.Connection) -> tuple[int, float | None]:
        """Count pending rows, without joining the leases: a name in --where must not mean one of their columns."""
        oldest = age(self._backend, self._queue, self._moment, sa.true())
        query: sa.Select[Any] = sa.select(sa.func.count().label("n0"), oldest.label("n1"))
        clause = self._queue.selection.clause
        pending = sa.or_(clause, self._marked()) if self.keeps_marks else clause
        row = connection.execute(query.select_from(self._queue.table.called).where(pending)).one()
        return int(row[0]), number(row[1])

    def _locked(self, connection: sa.Connection, rows: int, low: KeyValue | None, where: Condition) -> dict[str, Row]:
        """Lock rows of the queue, and return them by their names in the lease table."""
        fitting = self._rows.fitting(connection, rows, low, [where])
        query = self._rows.candidates(fitting, low, [where], [*self._rows.read(sa.literal_column("0")), self.row_name])
        labelled = query.with_only_columns(*(c.label(f"c{i}") for i, c in enumerate(query.inner_columns)))
        found = connection.execute(self._claims.free(labelled)).all()
        return dict(zip([row[-1] for row in found], self._rows.rows(found), strict=True))

    def _take(
        self, connection: sa.Connection, found: dict[str, Row], token: str, seconds: float, still: Condition,
        counted: int,
    ) -> Sequence[Row]:  # fmt: skip
        """Lease the rows that are still free: the statement that found them may have seen an older state."""
        known = self._known(connection, list(found))
        allowed = self._still(connection, list(known), still)
        taken = [name for name in found if name not in known or name in allowed]
        until = self._claims.now() + seconds
        self._update(connection, allowed, lease=token, lease_until=until, attempts=LEASES.c.attempts + counted)
        own = {"relation": self._relation, "lease": token, "lease_until": until, "attempts": 1}
        for names in _chunks([name for name in taken if name not in known]):
            insert = sa.insert(LEASES).values(row_key=sa.bindparam("name"), **own)
            connection.execute(insert, [{"name": name} for name in names])
        return [found[name]._replace(attempts=known.get(name, 0) + counted) for name in taken]

    def _known(self, connection: sa.Connection, names: Sequence[str]) -> dict[str, int]:
        """Return the attempts of the rows that have a lease row."""
        query = sa.select(LEASES.c.row_key, LEASES.c.attempts)
        return {r[0]: r[1] for some in _chunks(names) for r in connection.execute(query.where(*self._of(some)))}

    def _still(self, connection: sa.Connection, names: Sequence[str], where: Condition) -> list[str]:
        """Return the names for which the condition still holds, by their latest state."""
        query = sa.select(LEASES.c.row_key)
        query = query.with_for_update() if self._backend.sessions.locks_rows else query
        return [r[0] for some in _chunks(names) for r in connection.execute(query.where(*self._of(some), where))]

    def _held(self, connection: sa.Connection, token: str, keys: Sequence[KeyValue]) -> dict[str, KeyValue]:
        """Return the keys that `token` still holds, by their names in the lease table."""
        named: dict[str, KeyValue] = {}
        for mine in self._rows.among(keys):
            query: sa.Select[Any] = sa.select(*self._rows.out(), self.row_name.label("n"))
            query = query.select_from(self._queue.table.called).where(mine)
            query = query.with_for_update() if self._backend.sessions.locks_rows else query
            named |= {row[-1]: self._rows.key(row) for row in connection.execute(query)}
        return {name: named[name] for name in self._still(connection, list(named), LEASES.c.lease == token)}

    def _marked(self) -> Condition:
        """Return the condition for rows with a mark, which may hide that they are pending. EXISTS is slow beside OR."""
        names = sa.select(LEASES.c.row_key).where(LEASES.c.relation == self._relation)
        return self.row_name.in_(names.where(LEASES.c.before_claim.is_not(None)))

    def _unmark(self, connection: sa.Connection, held: Mapping[str, KeyValue]) -> None:
        """Undo the marks of rows, given by their names in the lease table."""
        query = sa.select(LEASES.c.row_key, LEASES.c.before_claim).where(LEASES.c.before_claim.is_not(None))
        kept: dict[str, str] = {}
        for some in _chunks(list(held)) if self.keeps_marks else ():
            kept |= {row[0]: row[1] for row in connection.execute(query.where(*self._of(some)))}
        self._mark.undo(connection, {held[name]: text for name, text in kept.items()})
        self._update(connection, list(kept), before_claim=None)

    def _dead_letter(
        self, connection: sa.Connection, keys: Sequence[KeyValue], names: Sequence[str], reason: str, marks: Assignments
    ) -> None:
        if marks:
            self._rows.change(connection, self._rows.update(*self._queue.values(marks)), keys)
        failure = self._storable(connection, reason)
        self._update(connection, names, lease=None, lease_until=None, next_at=NEVER, failure=failure)

    def _update(self, connection: sa.Connection, names: Sequence[str], **values: Any) -> None:
        for some in _chunks(names):
            connection.execute(sa.update(LEASES).where(*self._of(some)).values(**values))

    def _blocked(self) -> Condition:
        """Return the condition for leased rows, and rows not due. A released row has no time: that is not NULL here."""
        return sa.or_(LEASES.c.lease.is_not(None), sa.func.coalesce(LEASES.c.next_at, 0.0) > self._claims.now())

    def _expired(self) -> Condition:
        return sa.and_(LEASES.c.lease.is_not(None), LEASES.c.lease_until < self._claims.now())

    def _has(self, *where: Condition) -> Condition:
        """Return the condition that the queue's row has a lease row for which `where` holds."""
        its = (LEASES.c.relation == self._relation, LEASES.c.row_key == self.row_name)
        return sa.exists(sa.select(sa.literal_column("1")).select_from(LEASES).where(*its, *where))

    def _of(self, names: Sequence[str]) -> tuple[Condition, Condition]:
        return LEASES.c.relation == self._relation, LEASES.c.row_key.in_(names)


def _chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[start : start + 1_000] for start in range(0, len(names), 1_000))
