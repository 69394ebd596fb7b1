"""PostgreSQL's sessions: their settings, a timeout for silent servers, and notifications."""

import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg
import sqlalchemy as sa

from batchops.db.postgresql import joined_statements, loaders
from batchops.db.postgresql.row_lines import copy_rows
from batchops.db.sessions import SILENCE, Joined, Timeouts
from batchops.db.urls import DatabaseAddress
from batchops.errors import ConnectionLostError

# Everything is SET LOCAL inside the transaction: behind a transaction pooler a session setting would reach another
# client's session. row_security = off turns a hidden row into an error. The float and date styles make a key's text
# exact whatever the database's defaults are; DateStyle keeps the order of day and month. Without jit = off the server
# expects a recursive query over few rows to be large, and compiles it, which takes a second each time.
_SETTINGS = (
    "SET LOCAL lock_timeout = {lock}; SET LOCAL statement_timeout = {statement}; "
    "SET LOCAL idle_in_transaction_session_timeout = {statement}; SET LOCAL row_security = off; "
    "SET LOCAL extra_float_digits = 1; SET LOCAL DateStyle = ISO; SET LOCAL IntervalStyle = postgres; "
    "SET LOCAL bytea_output = hex; SET LOCAL jit = off"
)
_DURABLE = "; SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"
T = TypeVar("T")


class PostgreSQLSessions:
    """Connects through psycopg, and sends `settings` with each BEGIN."""

    one_writer = False
    locks_rows = True
    undoes_statements = False
    commits_lazily = True
    settings = _SETTINGS

    def __init__(self) -> None:
        self._settings = ""

    def engine(self, address: DatabaseAddress, timeouts: Timeouts, connections: int) -> sa.Engine:
        return sa.create_engine(
            "postgresql+psycopg://",
            creator=lambda: _connect(address.conninfo or "", timeouts.statement + SILENCE),
            isolation_level="AUTOCOMMIT",
            pool_size=connections,
            pool_timeout=30,
            pool_use_lifo=True,  # the session that was used last has what it needs in the nearest caches
            pool_reset_on_return=None,  # `Database` rolls back before it returns a connection
            use_native_hstore=False,
        )

    def version(self, connection: Any) -> str:
        return str(connection.execute("SELECT version()").fetchone()[0])

    def session(self, connection: Any) -> int | None:
        pid: int = connection.info.backend_pid
        return pid

    def attend(self, engine: sa.Engine, timeouts: Timeouts) -> None:
        sa.event.listen(engine, "before_cursor_execute", _unsent_first)
        sa.event.listen(engine, "do_execute", copy_rows)
        sa.event.listen(engine, "checkin", joined_statements.forget_unsent)
        lock, statement = round(timeouts.lock * 1000), round(timeouts.statement * 1000)
        self._settings = self.settings.format(lock=lock, statement=statement)

    def accept_hidden_rows(self, connection: sa.Connection) -> None:
        self._settings = self._settings.replace("row_security = off", "row_security = on")
        connection.exec_driver_sql("SET LOCAL row_security = on")

    def begin(
        self, connection: sa.Connection, *, lazy: bool = False, durable: bool = False, joined: Joined = Joined.NOTHING
    ) -> None:
        wait = "; SET LOCAL synchronous_commit = off" if lazy else _DURABLE if durable else ""
        text = f"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {self._settings}{wait}"
        if joined is Joined.NOTHING:
            connection.exec_driver_sql(text)
            return
        connection.begin()  # tells only SQLAlchemy, so that it will commit; nothing is sent
        joined_statements.send_later(connection, text, "COMMIT" if joined is Joined.BEGIN_AND_COMMIT else "")

    def begin_reading(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql(f"BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; {self._settings}")

    def cancel(self, connection: Any, engine: sa.Engine) -> None:  # noqa: ARG002  the protocol's shape
        connection.cancel_safe(timeout=5)


def _unsent_first(connection: sa.Connection, *_: object) -> None:
    joined_statements.send_unsent(connection)


class PostgreSQLNotifications:
    """LISTEN and NOTIFY."""

    def listen(self, connection: sa.Connection, channel: str) -> None:
        name = connection.dialect.identifier_preparer.quote_identifier(channel)
        connection.exec_driver_sql(f"LISTEN {name}")

    def notify(self, connection: sa.Connection, channel: str) -> None:
        connection.execute(sa.select(sa.func.pg_notify(channel, "")))

    def received(self, connection: sa.Connection, seconds: float) -> frozenset[str]:
        driver: Any = connection.connection.driver_connection
        try:
            return frozenset(one.channel for one in driver.notifies(timeout=seconds, stop_after=1))
        except psycopg.Error as error:  # SQLAlchemy, which would wrap it, was not involved
            raise ConnectionLostError(f"The connection that listens was lost: {error}") from error


class WatchedConnection(psycopg.Connection[Any]):
    """A connection that closes itself when the answer to a statement or COMMIT takes longer than `silence` seconds.

    The server ends statements that run too long. If not even that error arrives, the link is half open: TCP keeps it
    for hours, as a peer or proxy may go on acknowledging data that no program reads.
    """

    silence: float = 60.0

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **options: Any) -> T:
        """Wait as psycopg does, which wakes up several times a second, but no longer than `silence` seconds."""
        return super().wait(self._with_deadline(gen, time.monotonic() + self.silence), *args, **options)

    def _with_deadline(self, gen: Generator[Any, Any, T], deadline: float) -> Generator[Any, Any, T]:
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                wanted = gen.send(ready)
                if not ready and time.monotonic() > deadline:
                    self.close()
                    raise psycopg.OperationalError(f"no answer for {self.silence:g} s")
        except StopIteration as end:
            result: T = end.value
            return result


def _connect(conninfo: str, silence: float) -> psycopg.Connection[Any]:
    # The driver is in autocommit mode: batchops sends BEGIN itself, in one message with the settings. There are no
    # prepared statements: poolers lose them, and a plan for the condition's real values is better.
    connection = WatchedConnection.connect(
        conninfo,
        autocommit=True,
        prepare_threshold=None,
        application_name="batchops",
        client_encoding="utf8",  # otherwise SQL_ASCII databases return bytes, others limit texts to their own encoding
        connect_timeout=10,
        tcp_user_timeout=30000,
        keepalives_idle=30,
        keepalives_interval=10,
        keepalives_count=3,
    )
    connection.silence = silence
    loaders.register(connection)
    return connection
