"""Signals in PostgreSQL: LISTEN."""

from typing import Any

import psycopg
import sqlalchemy as sa

from batchops.errors import ConnectionLostError


class PostgreSQLNotifications:
    """What comes by NOTIFY, from whichever session."""

    def listen(self, connection: sa.Connection, channel: str) -> None:
        name = connection.dialect.identifier_preparer.quote_identifier(channel)
        connection.exec_driver_sql(f"LISTEN {name}")

    def notify(self, connection: sa.Connection, channel: str) -> None:
        connection.execute(sa.select(sa.func.pg_notify(channel, "")))

    def received(self, connection: sa.Connection, seconds: float) -> frozenset[str]:
        driver: Any = connection.connection.driver_connection
        try:
            return frozenset(one.channel for one in driver.notifies(timeout=seconds, stop_after=1))
        except psycopg.Error as error:  # not by way of SQLAlchemy, which would translate it
            raise ConnectionLostError(f"The connection that listens was lost: {error}") from error
