"""probe_database() and reading(): the throttles' own connections, on which no statement may take long."""

from collections.abc import Callable

from batchops.db.database import Database, connect
from batchops.db.sessions import Timeouts
from batchops.db.signals import Measured, Signal
from batchops.db.urls import DatabaseAddress

TIMEOUTS = Timeouts(lock=1.0, statement=3.0)
"""The timeouts of one reading."""


def probe_database(address: DatabaseAddress) -> Database:
    """Return the database with connections of its own; none is opened before the first reading."""
    return connect(address, TIMEOUTS)


def reading(database: Database, signal: Signal) -> Callable[[], Measured]:
    """Return a function that reads the signal in a read-only transaction."""

    def read() -> Measured:
        with database.reading() as connection:
            return signal.read(connection)

    return read
