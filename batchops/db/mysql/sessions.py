"""What is set in each new session, and what the client itself has to watch where the server does not."""

import ssl
import time
from typing import Any

import pymysql
import sqlalchemy as sa
from pymysql.connections import Connection
from sqlalchemy.pool import ConnectionPoolEntry

from batchops.db.backend import Timeouts
from batchops.db.mysql.products import product_of
from batchops.db.mysql.watchdog import Kill, Watchdog

_STALE = 0.8
"""Share of the time after which the server closes an idle session; from then on it may be closed any moment."""


class _Session(Connection):
    """Loads no certificates where the server's is not verified: that would cost each connection 20 to 40 ms of CPU."""

    def _create_ssl_ctx(self, options: Any) -> Any:
        if options:
            return super()._create_ssl_ctx(options)  # type: ignore[misc]  # PyMySQL's own, not in its stubs
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # as PyMySQL has it
        return context


def keep_in_order(engine: sa.Engine, timeouts: Timeouts, kill: Kill) -> None:
    """Settings for each session of the engine, and timeouts kept by the client where the server has none."""

    @sa.event.listens_for(engine, "do_connect")
    def connect(_: object, __: object, args: Any, options: Any) -> "Connection[Any]":
        return _Session(*args, **options)

    @sa.event.listens_for(engine, "connect")
    def settle(connection: "pymysql.Connection[Any]", _: ConnectionPoolEntry) -> None:
        settings = {
            "innodb_lock_wait_timeout": str(max(1, round(timeouts.lock))),
            "lock_wait_timeout": str(max(1, round(timeouts.lock))),
            **product_of(engine).settings(timeouts),
        }
        with connection.cursor() as cursor:
            # At REPEATABLE READ a range locks the gaps, and every INSERT into them waits.
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            cursor.execute("SET " + ", ".join(f"SESSION {name} = {value}" for name, value in settings.items()))

    _limit_statements(engine, Watchdog(timeouts.statement, kill))
    _replace_stale_connections(engine, timeouts.statement * _STALE)


def _limit_statements(engine: sa.Engine, watchdog: Watchdog) -> None:
    """By the watchdog, unless the server does it itself."""

    def execute(cursor: Any, statement: str, parameters: Any, _: object) -> bool:
        if product_of(engine).limits_writes:
            return False
        with watchdog.watching(cursor.connection):
            cursor.execute(statement, parameters)
        return True

    def execute_many(cursor: Any, statement: str, parameters: Any, _: object) -> bool:
        if product_of(engine).limits_writes:
            return False
        with watchdog.watching(cursor.connection):
            cursor.executemany(statement, parameters)
        return True

    sa.event.listen(engine, "do_execute", execute)
    sa.event.listen(engine, "do_executemany", execute_many)


def _replace_stale_connections(engine: sa.Engine, seconds: float) -> None:
    """Those that were idle so long: where only wait_timeout frees locks, it ends idle sessions of the pool too."""

    @sa.event.listens_for(engine, "checkin")
    def put_back(_: object, record: ConnectionPoolEntry) -> None:
        record.info["idle_since"] = time.monotonic()

    @sa.event.listens_for(engine, "checkout")
    def take(_: object, record: ConnectionPoolEntry, __: object) -> None:
        idle = time.monotonic() - record.info.get("idle_since", time.monotonic())
        if idle > seconds and not product_of(engine).ends_idle_transactions:
            raise sa.exc.DisconnectionError("The server may have closed the session, which was idle.")
