"""The status of a queue: who holds which rows, and what failed and why."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.queue.leases import NEVER
from batchops.queue.leases.columns import ColumnLeases
from batchops.queue.leases.ddl import LEASES
from batchops.queue.leases.table import TableLeases
from batchops.queue.queue import ALONE, Queue
from batchops.queue.rows import how_many


@dataclass(frozen=True)
class Holder:
    """A worker's process and the rows that it holds."""

    worker: str
    rows: int
    seconds: float
    """Seconds until the last of its leases expires; negative if it has expired."""


@dataclass(frozen=True)
class Reason:
    """Why rows failed, and how many."""

    reason: str
    waiting: int
    """Rows that will be tried again."""
    dead_letters: int


class QueueStatus:
    """Reads the status of a queue. `leases` is the place that holds it."""

    def __init__(self, database: Database, queue: Queue, leases: ColumnLeases | TableLeases) -> None:
        self._database = database
        self._claims = database.backend.claims
        self._queue = queue
        self.leases = leases

    def holders(self, connection: sa.Connection) -> list[Holder]:
        """Return the processes that have leased rows, the one with the most rows first."""
        lease, until = self._of("lease"), self._of("lease_until")
        query: sa.Select[Any] = sa.select(
            lease.label("lease"), sa.func.count().label("n"), (sa.func.max(until) - self._claims.now()).label("left")
        )
        found: dict[str, Holder] = {}
        for row in connection.execute(self._from(query).where(lease.is_not(None)).group_by(lease)):
            worker = row.lease.removeprefix(ALONE).rpartition(".")[0] or row.lease
            seen = found.get(worker, Holder(worker, 0, float(row.left)))
            found[worker] = Holder(worker, seen.rows + row.n, max(seen.seconds, float(row.left)))
        return sorted(found.values(), key=lambda holder: -holder.rows)

    def reasons(self, connection: sa.Connection, most: int = 20) -> list[Reason]:
        """Return the reasons of failures, the most frequent first."""
        failure, dead_letters = self._of("failure"), self._of("next_at") >= NEVER
        waits = sa.and_(self._of("next_at").is_not(None), self._of("next_at") < NEVER)
        query: sa.Select[Any] = sa.select(
            failure.label("reason"), how_many(waits).label("waiting"), how_many(dead_letters).label("dead")
        )
        query = self._from(query).where(failure.is_not(None)).group_by(failure)
        rows = connection.execute(query.order_by(sa.func.count().desc()).limit(most))
        return [Reason(row.reason, int(row.waiting), int(row.dead)) for row in rows]

    def _of(self, name: str) -> sa.ColumnElement[Any]:
        return self.leases.own(name) if isinstance(self.leases, ColumnLeases) else LEASES.c[name]

    def _from(self, query: sa.Select[Any]) -> sa.Select[Any]:
        if isinstance(self.leases, ColumnLeases):
            return query.select_from(self._queue.table.called)
        return query.select_from(LEASES).where(LEASES.c.relation == self._queue.table.label)
