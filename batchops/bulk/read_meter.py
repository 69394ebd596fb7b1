"""Whether a strategy reads what it was planned to read, by the server's own counters."""

from collections.abc import Callable

import sqlalchemy as sa

from batchops.db.backend import Backend

EVERY = 8
"""Batches until the first is measured, and after one that read too much; that costs a round trip or two."""
SELDOM = 64
"""Batches between two measurements, at most: each that was well doubles the distance."""
TOO_MUCH = 10
"""Times what was planned that a batch may read."""
SLACK = 5_000
"""Rows that do not matter: a small table is read whole by right."""
IN_A_ROW = 2


class ReadMeter:
    """Measures now and then, and says so once the strategy reads too much. For one worker."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._every = self._until = EVERY
        self._bad = 0

    def meter(self, connection: sa.Connection) -> Callable[[], int] | None:
        """Rows of any table read since now on this connection, where this batch is one to be measured."""
        self._until -= 1
        return self._backend.meter(connection) if self._until <= 0 else None

    def check(self, planned: int, read: int) -> str | None:
        """What to say of a batch that read so many rows; None while all is well."""
        if read <= TOO_MUCH * planned + SLACK:
            self._bad = 0
            self._every = self._until = min(2 * self._every, SELDOM)
            return None
        self._bad += 1
        self._every = self._until = EVERY
        if self._bad < IN_A_ROW:
            return None
        return f"A batch reads {read:,} rows of the table where it was planned to read {planned:,}."
