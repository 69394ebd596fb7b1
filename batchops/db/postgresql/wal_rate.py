"""The signal `wal-rate` of PostgreSQL: the bytes of WAL that all sessions together write in a second."""

import time
from collections.abc import Callable

import sqlalchemy as sa

from batchops.db.signals import Measured, ServerSignal

WRITTEN = sa.text("SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), '0/0')::bigint")
"""Reads how many bytes of WAL have been written, counted from its beginning."""
SHORTEST = 0.5
"""The shortest time, in seconds, between two readings from which a rate is computed."""


class WalRate:
    """Computes the rate from one reading to the next."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._before: tuple[float, int] | None = None
        self._rate: float | None = None

    def read(self, connection: sa.Connection) -> Measured:
        now, written = self._clock(), int(connection.execute(WRITTEN).scalar_one())
        if self._before is None:
            self._before = now, written
        elif (seconds := now - self._before[0]) >= SHORTEST:
            self._rate = (written - self._before[1]) / seconds
            self._before = now, written
        return Measured(self._rate, of="" if self._rate is not None else "known after a second")


SIGNAL = ServerSignal(lambda _: WalRate())
