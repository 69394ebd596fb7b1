"""Signals in PostgreSQL: LISTEN."""

from typing import Any

import sqlalchemy as sa


class PostgreSQLSignals:
    """What comes by NOTIFY, from whichever session."""

    def listen(self, connection: sa.Connection, channel: str) -> None:
        name = connection.dialect.identifier_preparer.quote_identifier(channel)
        connection.exec_driver_sql(f"LISTEN {name}")

    def heard(self, connection: sa.Connection, seconds: float) -> bool:
        driver: Any = connection.connection.driver_connection
        return any(True for _ in driver.notifies(timeout=seconds, stop_after=1))
