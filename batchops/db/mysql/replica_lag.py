"""The signal `replica-lag`: how far the named replicas of a MariaDB or MySQL server are behind.

The server does not know all of its replicas, nor what they have applied. So batchops asks each replica, which must
report that it is a replica of this server.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from batchops.db.database import connect
from batchops.db.sessions import Timeouts
from batchops.db.signals import Measured, Scope, ServerSignal
from batchops.db.urls import DatabaseAddress
from batchops.errors import DeniedError, RefusedError, UnreachableError

_TIMEOUTS = Timeouts(lock=1.0, statement=3.0)
_MARKS = 4_096
_LONGEST = 200
Position = Mapping[str, int]
"""The newest transaction of each GTID domain, by its number."""


class MySQLReplicaLag:
    """Reads the lag that each replica reports."""

    status = "SHOW REPLICA STATUS"
    right = "REPLICATION CLIENT"
    source_id, seconds = "Source_Server_Id", "Seconds_Behind_Source"
    threads = ("Replica_IO_Running", "Replica_SQL_Running")

    def __init__(self, scope: Scope) -> None:
        self._replicas = scope.replicas

    def read(self, connection: sa.Connection) -> Measured:
        source = int(connection.exec_driver_sql("SELECT @@server_id").scalar_one())
        found = [
            self._read(connection, one.address, source, one.limit)
            for one in self._replicas
            if one.address is not None
        ]  # fmt: skip
        stopped = [one for one in found if one.reason]
        return stopped[0] if stopped else replace(max(found, key=lambda one: one.value or 0.0), parts=tuple(found))

    def _read(
        self, connection: sa.Connection, address: DatabaseAddress, source: int, limit: float | None
    ) -> Measured:  # fmt: skip
        row = self._status(address, source)
        for thread in self.threads:
            if row[thread] != "Yes":
                why = str(row["Last_SQL_Error"] or row["Last_IO_Error"] or f"{thread}: {row[thread]}")
                return Measured(None, reason=f"replication of {address.name} does not run ({why[:_LONGEST]})")
        if row[self.seconds] is None:
            raise UnreachableError(f"{address.name} does not say how far it is behind.")
        return Measured(self._lag(connection, row), of=address.name, limit=limit)

    def _status(self, address: DatabaseAddress, source: int) -> Mapping[str, Any]:
        try:
            with closing(connect(address, _TIMEOUTS)) as replica, replica.reading() as asked:
                rows = [dict(one) for one in asked.exec_driver_sql(self.status).mappings()]
        except DeniedError as error:
            hint = f"on the replica: GRANT {self.right} ON *.* TO its role;"
            raise RefusedError(f"{address.name} does not show its state: {error.message}", hint) from error
        # A replica that has never connected does not know the id of its source.
        for row in rows:
            if int(row[self.source_id]) in (source, 0):
                return row
        raise RefusedError(f"{address.name} is no replica of this server.", "name a replica that is.")

    def _lag(self, connection: sa.Connection, row: Mapping[str, Any]) -> float:  # noqa: ARG002  MariaDB asks more
        return float(row[self.seconds])


class MariaDBReplicaLag(MySQLReplicaLag):
    """Also compares GTIDs of replica and server: the reported lag does not grow while the replica receives nothing."""

    status = "SHOW ALL SLAVES STATUS"
    right = "SLAVE MONITOR"
    source_id, seconds = "Master_Server_Id", "Seconds_Behind_Master"
    threads = ("Slave_IO_Running", "Slave_SQL_Running")

    def __init__(self, scope: Scope, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(scope)
        self._clock = clock
        self._marks: deque[tuple[float, Position]] = deque()

    def _lag(self, connection: sa.Connection, row: Mapping[str, Any]) -> float:
        written = _position(connection.exec_driver_sql("SELECT @@gtid_binlog_pos").scalar_one())
        applied, now = _position(row["Gtid_Slave_Pos"]), self._clock()
        if not self._marks or self._marks[-1][1] != written:
            self._marks.append((now, written))
        if len(self._marks) > _MARKS:
            self._marks = deque([*self._marks][::2])
        if written and not _behind(applied, written):
            return 0.0
        missing = next((now - at for at, mark in self._marks if _behind(applied, mark)), 0.0)
        return max(float(row[self.seconds]), missing)


def _position(text: str | None) -> dict[str, int]:
    """Return the number of each domain in a GTID position: from `0-1-5,2-1-17`, 5 for domain 0 and 17 for domain 2."""
    parts = [part.strip().split("-") for part in (text or "").split(",") if part.strip()]
    return {domain: int(number) for domain, _, number in parts}


def _behind(applied: Position, written: Position) -> bool:
    return any(applied.get(domain, 0) < number for domain, number in written.items())


def _missing_replicas(scope: Scope) -> str:
    return "" if scope.replicas else "name the replicas: --replica URL"


MYSQL = ServerSignal(MySQLReplicaLag, unavailable=_missing_replicas, takes_replicas=True)
MARIADB = ServerSignal(MariaDBReplicaLag, unavailable=_missing_replicas, takes_replicas=True)
