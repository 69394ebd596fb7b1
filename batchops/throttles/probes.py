"""The database of a run's throttles: connections of its own, on which no statement may take long."""

from collections.abc import Callable

from batchops.db.database import Database, connect
from batchops.db.sessions import Timeouts
from batchops.db.signals import Measured, Signal
from batchops.db.urls import DatabaseAddress

TIMEOUTS = Timeouts(lock=1.0, statement=3.0)
"""Of one reading."""


def probe_database(address: DatabaseAddress) -> Database:
    """The same database by other connections; none is open before the first reading."""
    return connect(address, TIMEOUTS)


def reading(database: Database, signal: Signal) -> Callable[[], Measured]:
    """Reads the signal in a transaction that cannot write."""

    def read() -> Measured:
        with database.reading() as connection:
            return signal.read(connection)

    return read
