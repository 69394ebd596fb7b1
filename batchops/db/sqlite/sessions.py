"""SQLite's sessions: connections to one file, of which one can write at a time."""

import sqlite3
import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from batchops.db.faults import Fault
from batchops.db.sessions import Joined, Timeouts
from batchops.db.sqlite import faults
from batchops.db.sqlite.event_tables import HASH, hashed
from batchops.db.sqlite.row_lists import DIGEST, digest
from batchops.db.urls import DatabaseAddress

_FULL = 2
"""The value of `PRAGMA synchronous` from which on a COMMIT waits for the disk."""
BUSY_TIMEOUT = 250
"""Milliseconds for which SQLite itself waits for the right to write to the file."""


class CancellableConnection(sqlite3.Connection):
    """A connection that remembers a cancellation, which `interrupt` forgets unless a statement is running."""

    cancelled = False


class SQLiteSessions:
    """Connects through Python's own module."""

    one_writer = True
    locks_rows = False
    undoes_statements = False  # a constraint or trigger may have FAIL, which keeps the changes made before it
    commits_lazily = False

    def __init__(self) -> None:
        self._lock_timeout = Timeouts().lock
        self.text: Callable[[bytes], str] = str
        """Decodes the bytes of a text in the file."""

    def engine(self, address: DatabaseAddress, timeouts: Timeouts, connections: int) -> sa.Engine:
        engine = sa.create_engine(
            address.url,
            pool_size=connections,
            connect_args={"timeout": timeouts.lock, "isolation_level": None, "factory": CancellableConnection},
        )

        @sa.event.listens_for(engine, "connect")
        def settle(connection: sqlite3.Connection, _: object) -> None:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.create_function(HASH, 1, hashed, deterministic=True)
            connection.create_function(DIGEST, -1, digest, deterministic=True)

        @sa.event.listens_for(engine, "checkout")
        def renew(connection: CancellableConnection, *_: object) -> None:
            connection.cancelled = False

        return engine

    def version(self, connection: Any) -> str:  # noqa: ARG002  the library's
        return sqlite3.sqlite_version

    def session(self, connection: Any) -> int | None:  # noqa: ARG002  the protocol's shape
        return None

    def attend(self, engine: sa.Engine, timeouts: Timeouts) -> None:  # noqa: ARG002  the protocol's shape
        self._lock_timeout = timeouts.lock

    def accept_hidden_rows(self, connection: sa.Connection) -> None:
        pass  # there are no policies here

    def begin(
        self, connection: sa.Connection, *, lazy: bool = False,  # noqa: ARG002  the shape
        durable: bool = False,
        joined: Joined = Joined.NOTHING,  # noqa: ARG002
    ) -> None:  # fmt: skip
        # A transaction that reads first and then writes can fail as busy at once, despite its timeout; IMMEDIATE waits.
        self._read_text(connection)
        if durable:
            self._wait_for_the_disk(connection)
        connection.exec_driver_sql("PRAGMA query_only = OFF")
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")
        try:
            self._begin_immediate(connection)
        finally:
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {round(self._lock_timeout * 1000)}")

    @staticmethod
    def _wait_for_the_disk(connection: sa.Connection) -> None:
        if int(connection.exec_driver_sql("PRAGMA synchronous").scalar_one()) < _FULL:
            connection.exec_driver_sql(f"PRAGMA synchronous = {_FULL}")

    def _begin_immediate(self, connection: sa.Connection) -> None:
        """Begin the transaction; wait for the file in short steps, as SQLite's own wait cannot be interrupted."""
        end = time.monotonic() + self._lock_timeout
        driver = connection.connection.driver_connection
        assert isinstance(driver, CancellableConnection)
        while True:
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                return
            except sa.exc.OperationalError as error:
                passing = faults.classify(error) is Fault.TRANSIENT
                if not passing or time.monotonic() > end or driver.cancelled:
                    raise

    def begin_reading(self, connection: sa.Connection) -> None:
        self._read_text(connection)
        connection.exec_driver_sql("PRAGMA query_only = ON")
        connection.exec_driver_sql("BEGIN DEFERRED")

    def _read_text(self, connection: sa.Connection) -> None:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.text_factory = self.text

    def cancel(self, connection: Any, engine: sa.Engine) -> None:  # noqa: ARG002  the protocol's shape
        connection.cancelled = True
        connection.interrupt()
