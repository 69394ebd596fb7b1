"""The lag of a PostgreSQL server's standbys: by the server's own figure, and by the WAL that they have not replayed."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace

import sqlalchemy as sa

from batchops.db.postgresql.stats_right import missing_stats_right
from batchops.db.postgresql.wal_rate import WRITTEN
from batchops.db.signals import Measured, Scope, ServerSignal
from batchops.errors import RefusedError, UnreachableError

RECONNECTS = 60.0
"""Seconds for which a standby that has disconnected is expected to come back."""
_MARKS = 4_096
# A logical subscriber confirms at any time it chooses; pg_receivewal and pg_basebackup replay nothing.
_STANDBYS = """
FROM pg_catalog.pg_stat_replication r
WHERE state IN ('streaming', 'catchup') AND (replay_lsn IS NOT NULL OR flush_lsn IS NULL)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_replication_slots s WHERE s.active_pid = r.pid AND s.slot_type = 'logical')
"""
_LAG = sa.text(f"""
SELECT application_name AS application, application_name || coalesce(' (' || host(client_addr) || ')', '') AS name,
       extract(epoch FROM replay_lag)::float8 AS lag,
       pg_catalog.pg_wal_lsn_diff(replay_lsn, '0/0')::bigint AS replayed {_STANDBYS}
""")
_ANY = sa.text(f"SELECT EXISTS (SELECT {_STANDBYS})")


class ReplicaLag:
    """Reads the standbys' lag.

    It remembers how much WAL had been written at which time, and so finds the lag of a standby whose own figure is
    old or missing.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, limits: Mapping[str, float | None] | None = None
    ) -> None:  # fmt: skip
        """`limits`: the standbys that --replica names, with the limit of each; None for the throttle's own."""
        self._clock = clock
        self._limits = limits or {}
        self._read_before = False
        self._marks: deque[tuple[float, int]] = deque()
        self._seen: dict[str, float] = {}
        self._figures: dict[str, tuple[float | None, int, float]] = {}

    def read(self, connection: sa.Connection) -> Measured:
        rows = connection.execute(_LAG).all()
        written, now = int(connection.execute(WRITTEN).scalar_one()), self._clock()
        self._expect_back({row.name for row in rows}, now)
        self._expect_named({row.application for row in rows})
        if not rows:
            return Measured(None, of="no replica")
        if unknown := [row.name for row in rows if row.replayed is None]:
            raise UnreachableError(f"replica {unknown[0]} has not said yet what it has replayed.")
        self._mark(now, written, min(row.replayed for row in rows))
        lags = [
            Measured(
                self._lag(row.name, row.lag, row.replayed, written, now), row.name,
                limit=self._limits.get(row.application),
            )
            for row in rows
        ]  # fmt: skip
        return replace(max(lags, key=lambda one: one.value or 0.0), parts=tuple(lags))

    def _expect_named(self, there: set[str]) -> None:
        """RefusedError if a standby in `limits` is not connected at the first reading.

        At later readings it is missed like any other standby.
        """
        if not self._read_before and (unknown := sorted(self._limits.keys() - there)):
            known = f"it has {', '.join(sorted(there))}" if there else "it has none now"
            raise RefusedError(f'"{unknown[0]}" is no replica of this server.', f"name one that is: {known}.")
        self._read_before = True

    def _lag(self, name: str, figure: float | None, replayed: int, written: int, now: float) -> float:
        """Return the greater of the standby's last figure plus its age, and the age of the oldest WAL that it lacks."""
        if replayed >= written:
            return 0.0
        if self._figures.get(name, ())[:2] != (figure, replayed):
            self._figures[name] = figure, replayed, now
        missing = next((now - at for at, mark in self._marks if mark > replayed), 0.0)
        return max(missing, 0.0 if figure is None else figure + now - self._figures[name][2])

    def _mark(self, now: float, written: int, replayed: int) -> None:
        while self._marks and self._marks[0][1] <= replayed:
            self._marks.popleft()
        if not self._marks or self._marks[-1][1] < written:
            self._marks.append((now, written))
        if len(self._marks) > _MARKS:  # fewer marks are enough: only the oldest missing one counts
            self._marks = deque([*self._marks][::2])

    def _expect_back(self, there: set[str], now: float) -> None:
        self._seen = {name: at for name, at in self._seen.items() if now - at < RECONNECTS}
        self._seen |= dict.fromkeys(there, now)
        if gone := sorted(self._seen.keys() - there):
            raise UnreachableError(f"replica {gone[0]} is gone.")


def _no_standby(connection: sa.Connection, _: Scope) -> bool:
    return not connection.execute(_ANY).scalar_one()


def _replica_lag(scope: Scope) -> ReplicaLag:
    return ReplicaLag(limits={one.name: one.limit for one in scope.replicas})


SIGNAL = ServerSignal(_replica_lag, missing_stats_right, quiet=_no_standby, knows_replicas=True)
