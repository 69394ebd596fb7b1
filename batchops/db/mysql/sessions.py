"""MySQL's sessions: the settings of each new one, and the timeouts that the client enforces for the server."""

import ssl
import time
from collections.abc import Mapping
from typing import Any

import pymysql
import sqlalchemy as sa
from pymysql.connections import Connection
from sqlalchemy.pool import ConnectionPoolEntry

from batchops.db.mysql.watchdog import Watchdog
from batchops.db.sessions import SILENCE, Joined, Timeouts
from batchops.db.urls import DatabaseAddress

_STALE = 0.8
"""Share of wait_timeout after which an idle connection is replaced, as the server may soon close it."""


class MySQLSessions:
    """Connects through PyMySQL, and ends long statements itself: MySQL ends neither a long DELETE nor a long UPDATE."""

    one_writer = False
    locks_rows = True
    undoes_statements = True
    commits_lazily = False

    def engine(self, address: DatabaseAddress, timeouts: Timeouts, connections: int) -> sa.Engine:
        engine = sa.create_engine(
            address.url,
            pool_size=connections,
            pool_timeout=30,
            # batchops ends every transaction; a ROLLBACK at each return would cost one more round trip for each batch.
            pool_reset_on_return=None,
            connect_args={
                "connect_timeout": 10,
                "read_timeout": timeouts.statement + SILENCE,
                "write_timeout": timeouts.statement + SILENCE,
                # Otherwise a hostile server could request any file of this machine.
                "local_infile": False,
            },
        )

        @sa.event.listens_for(engine, "do_connect")
        def connect(_: object, __: object, args: Any, options: Any) -> "Connection[Any]":
            return _Session(*args, **options)

        return engine

    def version(self, connection: Any) -> str:
        with connection.cursor() as cursor:
            cursor.execute("SELECT version()")
            return str(cursor.fetchone()[0])

    def session(self, connection: Any) -> int | None:
        return int(connection.thread_id())

    def attend(self, engine: sa.Engine, timeouts: Timeouts) -> None:
        settings = {
            "max_execution_time": str(max(1, round(timeouts.statement * 1000))),
            # A client that was stopped, or whose host has failed, must not keep its rows locked.
            "wait_timeout": str(max(1, round(timeouts.statement))),
            # Otherwise a table's rows and bytes may be a day old.
            "information_schema_stats_expiry": "0",
        }
        set_in_each_session(engine, timeouts, settings)
        _limit_statements(engine, Watchdog(timeouts.statement, lambda connection: self.cancel(connection, engine)))
        _replace_stale_connections(engine, timeouts.statement * _STALE)

    def accept_hidden_rows(self, connection: sa.Connection) -> None:
        pass  # there are no policies here

    def begin(
        self, connection: sa.Connection, *, lazy: bool = False, durable: bool = False,  # noqa: ARG002  the shape
        joined: Joined = Joined.NOTHING,  # noqa: ARG002
    ) -> None:  # fmt: skip
        connection.exec_driver_sql("START TRANSACTION READ WRITE")

    def begin_reading(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql("START TRANSACTION READ ONLY")

    def cancel(self, connection: Any, engine: sa.Engine) -> None:
        with engine.connect() as other:
            other.exec_driver_sql(f"KILL QUERY {int(connection.thread_id())}")


def set_in_each_session(engine: sa.Engine, timeouts: Timeouts, settings: Mapping[str, str]) -> None:
    """Set the isolation level, lock timeouts and `settings` once in each new session."""
    waits = dict.fromkeys(("innodb_lock_wait_timeout", "lock_wait_timeout"), str(max(1, round(timeouts.lock))))
    listed = ", ".join(f"SESSION {name} = {value}" for name, value in (waits | dict(settings)).items())

    @sa.event.listens_for(engine, "connect")
    def settle(connection: "pymysql.Connection[Any]", _: ConnectionPoolEntry) -> None:
        with connection.cursor() as cursor:
            # At REPEATABLE READ, a range locks the gaps between rows, and every INSERT into them waits.
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            cursor.execute("SET " + listed)


class _Session(Connection):
    """A connection that loads no certificates if it verifies none: loading takes 20 to 40 ms of CPU each time."""

    def _force_close(self) -> None:
        """Close without reading the rest of an unbuffered answer: PyMySQL would try to, and print a traceback."""
        if (answer := getattr(self, "_result", None)) is not None:
            answer.unbuffered_active = False
        super()._force_close()  # type: ignore[misc]  # PyMySQL's own, not in its stubs

    __del__ = _force_close

    def _create_ssl_ctx(self, options: Any) -> Any:
        if options:
            return super()._create_ssl_ctx(options)  # type: ignore[misc]  # PyMySQL's own, not in its stubs
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # as PyMySQL sets them
        return context


def _limit_statements(engine: sa.Engine, watchdog: Watchdog) -> None:
    """Let the watchdog limit the time of every statement."""

    def execute(cursor: Any, statement: str, parameters: Any, _: object) -> bool:
        with watchdog.watching(cursor.connection):
            cursor.execute(statement, parameters)
        return True

    def execute_many(cursor: Any, statement: str, parameters: Any, _: object) -> bool:
        with watchdog.watching(cursor.connection):
            cursor.executemany(statement, parameters)
        return True

    sa.event.listen(engine, "do_execute", execute)
    sa.event.listen(engine, "do_executemany", execute_many)


def _replace_stale_connections(engine: sa.Engine, seconds: float) -> None:
    """Replace connections that were idle for so long: wait_timeout also ends idle sessions of the pool."""

    @sa.event.listens_for(engine, "checkin")
    def put_back(_: object, record: ConnectionPoolEntry) -> None:
        record.info["idle_since"] = time.monotonic()

    @sa.event.listens_for(engine, "checkout")
    def take(_: object, record: ConnectionPoolEntry, __: object) -> None:
        idle = time.monotonic() - record.info.get("idle_since", time.monotonic())
        if idle > seconds:
            raise sa.exc.DisconnectionError("The server may have closed the session, which was idle.")
