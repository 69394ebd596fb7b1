"""A connected database: its engine, its backend, and transactions with translated errors."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from batchops.db.backend import Backend
from batchops.db.commit_times import CommitTimes
from batchops.db.faults import Fault, driver_error, translate, underway
from batchops.db.registry import load, named_by, registered, variants
from batchops.db.rights import MissingRight, Needs
from batchops.db.sessions import Joined, Timeouts
from batchops.db.table import Table
from batchops.db.urls import DatabaseAddress, redact
from batchops.errors import BatchopsError, ConnectionLostError, OutcomeUnknownError, TransientError

# Without a handler, SQLAlchemy's traceback of a connection whose close was interrupted goes to stderr.
logging.getLogger("sqlalchemy").addHandler(logging.NullHandler())

Variant = Callable[[str], Backend]
"""Returns the backend for the version that the server reports."""
BESIDE = 8
"""Connections beside those of the workers: for heartbeat, notifications, counts, reading ahead and cancelling.

The pool lends some more for a while.
"""


class Database:
    """A connected database; every statement that batchops sends is in one of its transactions."""

    def __init__(
        self,
        address: DatabaseAddress,
        backend: Backend,
        timeouts: Timeouts | None = None,
        workers: int = 1,
        variant: Variant | None = None,
    ) -> None:
        """Make the engine; nothing connects yet.

        `workers` is how many threads may each have a transaction in progress, beside what accompanies a run.
        `variant` gives the backend for the server's version, where only the server can say which one it is.
        """
        self.address = address
        self._timeouts = timeouts or Timeouts()
        self.engine = backend.sessions.engine(address, self._timeouts, workers + BESIDE)
        self._backend = backend
        self._decided = variant is None
        if variant is None:
            backend.sessions.attend(self.engine, self._timeouts)
        else:
            self._decide_at_connect(variant)
        self._at_work: set[Any] = set()
        self.others: list[Database] = []
        """The databases that the same run works with: their statements are cancelled with those of this one."""
        self.commit_times = CommitTimes()
        self._guard = threading.Lock()
        self._in_thread = threading.local()
        """Its `reading` is the connection on which the thread reads, where a nested read has to share it."""
        self.underway = False
        """Whether a run has begun to write: a table that is missing from then on was dropped during the run."""

    @property
    def backend(self) -> Backend:
        """The capabilities of this database; connects first where only the server can say which database it is."""
        if not self._decided:
            with self._connection():
                pass
        return self._backend

    def _decide_at_connect(self, variant: Variant) -> None:
        @sa.event.listens_for(self.engine, "first_connect")
        def decide(connection: Any, _: object) -> None:
            self._backend = variant(self._backend.sessions.version(connection))
            self._backend.sessions.attend(self.engine, self._timeouts)
            self._decided = True

    @contextmanager
    def transaction(
        self, *, lazy: bool = False, durable: bool = False, joined: Joined = Joined.NOTHING
    ) -> Iterator[sa.Connection]:
        """Commit what the block did, or roll it back; OutcomeUnknownError if only the ledger knows the result.

        `lazy`: the COMMIT does not wait for the disk. A crash of the server may undo the last such commits, each as a
        whole; any other commit after them makes them durable too. Where the server has no such commit, it waits.
        `durable`: the COMMIT waits for the disk, also where the session's own setting is weaker.
        `joined`: what may be sent with the first statement, where every statement is sent by way of SQLAlchemy.
        """
        with self._connection() as connection:
            self.backend.sessions.begin(connection, lazy=lazy, durable=durable, joined=joined)
            yield connection
            begun = time.perf_counter()
            try:
                connection.commit()
            except DBAPIError as error:
                raise self._commit_failed(error) from error
            if joined is not Joined.BEGIN_AND_COMMIT and not (lazy and self.backend.sessions.commits_lazily):
                self.commit_times.add(time.perf_counter() - begun)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that the server keeps from writing; always rolled back.

        Where a database has one writer, a read within a read of the same thread shares its connection. With two, a
        writer's COMMIT would wait for the first to end, and the second for that COMMIT, until one of them gives up.
        """
        outer: sa.Connection | None = getattr(self._in_thread, "reading", None)
        if outer is not None:
            with self._errors_translated():
                yield outer
            return
        with self._connection() as connection:
            self.backend.sessions.begin_reading(connection)
            self._in_thread.reading = connection if self.backend.sessions.one_writer else None
            try:
                yield connection
            finally:
                self._in_thread.reading = None

    @contextmanager
    def trying(self) -> Iterator[sa.Connection]:
        """A transaction that may write but is always rolled back."""
        with self._connection() as connection:
            self.backend.sessions.begin(connection)
            yield connection

    @contextmanager
    def savepoint(self, connection: sa.Connection) -> Iterator[None]:
        """Run the block under a savepoint: if a statement in it fails, the transaction is as it was before."""
        connection.exec_driver_sql("SAVEPOINT batchops_part")
        try:
            yield
        except DBAPIError as error:
            translated = self.error(error)
            if not isinstance(translated, TransientError):
                connection.exec_driver_sql("ROLLBACK TO SAVEPOINT batchops_part")
            raise translated from error

    def explaining(self) -> AbstractContextManager[sa.Connection]:
        """A transaction that can explain a DELETE or UPDATE and writes nothing; always rolled back."""
        return self.reading() if self.backend.planner.explains_writes else self.trying()

    def missing_right(self, table: Table, role: str, needs: Needs) -> MissingRight | None:
        """Return the first of these rights that the role lacks on the table; None where it has them all."""
        with self.explaining() as connection:
            for right, columns in needs:
                missing = self.backend.rights.missing(connection, table, right, columns)
                if missing is not None:
                    account = self.backend.rights.account(connection.dialect, role)
                    return MissingRight(right, missing, table, role, account)
        return None

    @contextmanager
    def idle(self) -> Iterator[sa.Connection]:
        """A connection without a transaction, as for notifications or maintenance; it is closed after the block."""
        with self._connection() as connection:
            try:
                yield connection
            finally:
                connection.invalidate()

    def cancel(self) -> None:
        """Cancel all statements that are running, from any thread; their transactions roll back.

        A session that cannot be reached is left to its own timeouts.
        """
        with self._guard:
            at_work = list(self._at_work)
        for driver_connection in at_work:
            # Each driver has its own errors for a session that is closed, or a server that does not answer.
            with suppress(Exception):
                self._backend.sessions.cancel(driver_connection, self.engine)
        for other in self.others:
            other.cancel()

    def sessions_at_work(self) -> frozenset[int]:
        """Return the server's numbers of the sessions whose connections are in use now."""
        with self._guard:
            at_work = list(self._at_work)
        numbers = (self._backend.sessions.session(one) for one in at_work)
        return frozenset(number for number in numbers if number is not None)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def error(self, error: DBAPIError) -> BatchopsError:
        """Return the driver's error as one that a person can read, without secrets."""
        return self._translated(driver_error(error), lost=error.connection_invalidated)

    def _translated(self, cause: BaseException, *, lost: bool) -> BatchopsError:
        fault = self._backend.faults.classify(cause)
        if lost and fault is Fault.OTHER:
            fault = Fault.CONNECTION_LOST
        if self.underway:
            fault = underway(fault)
        message = redact(self._backend.faults.message(cause), self.address)
        if fault in (Fault.UNREACHABLE, Fault.LOGIN):
            message = f"{message} ({self.address.shown})"
        return translate(fault, message)

    @contextmanager
    def _connection(self) -> Iterator[sa.Connection]:
        with self._errors_translated(), self.engine.connect() as connection:
            driver_connection = connection.connection.driver_connection
            with self._guard:
                self._at_work.add(driver_connection)
            try:
                yield connection
            finally:
                with self._guard:
                    self._at_work.discard(driver_connection)
                self._roll_back(connection)

    @contextmanager
    def _errors_translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise self.error(error) from error
        except self.engine.dialect.loaded_dbapi.Error as error:
            # Raised by calls on the driver's own connection, past SQLAlchemy: notifications, cancelling, COPY.
            raise self._translated(error, lost=False) from error
        except PendingRollbackError as error:  # one more statement on a connection that was lost before COMMIT
            raise translate(Fault.CONNECTION_LOST, "") from error
        except PoolTimeoutError as error:
            raise TransientError("No connection was free in time.") from error

    @staticmethod
    def _roll_back(connection: sa.Connection) -> None:
        """Roll back what is left open; a connection that cannot even do that is closed and not reused."""
        try:
            connection.rollback()
        except Exception:  # noqa: BLE001  drivers raise all kinds of errors over a stream that they cannot read
            connection.invalidate()

    def _commit_failed(self, error: DBAPIError) -> BatchopsError:
        translated = self.error(error)
        if isinstance(translated, ConnectionLostError):
            return OutcomeUnknownError(f"{translated.message} (COMMIT had been sent)", translated.hint)
        return translated


def connect(address: DatabaseAddress, timeouts: Timeouts | None = None, workers: int = 1) -> Database:
    """Return the database at that address, for so many workers. Connections open when they are first needed."""
    own = registered(address.database)
    others = tuple(variants(own))

    def variant(version: str) -> Backend:
        backend: Backend = load(next((one for one in others if named_by(one, version)), own).backend)()
        return backend

    backend: Backend = load(own.backend)()
    return Database(address, backend, timeouts, workers, variant if others else None)
