"""The signal `blocked` of PostgreSQL: how long others have waited for locks that batchops' sessions hold."""

import time
from collections.abc import Callable

import sqlalchemy as sa

from batchops.db.postgresql.one_row import OURS
from batchops.db.signals import Measured, ServerSignal

# Every role may see locks. Before version 14 the view lacks waitstart.
_WAITING = sa.text(f"""
WITH ours AS (SELECT pid FROM pg_catalog.pg_stat_activity WHERE {OURS})
SELECT l.pid, extract(epoch FROM clock_timestamp() - (to_jsonb(l) ->> 'waitstart')::timestamptz)::float8 AS waited
FROM pg_catalog.pg_locks l
WHERE NOT l.granted AND l.pid NOT IN (SELECT pid FROM ours)
  AND pg_catalog.pg_blocking_pids(l.pid) && ARRAY(SELECT pid FROM ours)
""")


class Blocked:
    """Reads the longest wait; remembers since when each session waits, for a server that does not say."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[int, float] = {}

    def read(self, connection: sa.Connection) -> Measured:
        rows, now = connection.execute(_WAITING).all(), self._clock()
        self._since = {row.pid: self._since.get(row.pid, now) for row in rows}
        waited = [(now - self._since[row.pid] if row.waited is None else row.waited, row.pid) for row in rows]
        if not waited:
            return Measured(0.0)
        longest, pid = max(waited)
        return Measured(longest, of=f"session {pid}")


SIGNAL = ServerSignal(lambda _: Blocked(), quiet=lambda _, __: True)
