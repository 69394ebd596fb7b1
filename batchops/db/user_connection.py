"""A connection that is the caller's own, in the middle of a transaction of theirs."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from batchops.db.event_tables import EventTables
from batchops.errors import UsageError

_DRIVERS = {
    "psycopg": ("batchops.db.postgresql.user_connection", "batchops.db.postgresql.event_tables:PostgreSQLEvents"),
    "pymysql": ("batchops.db.mysql.user_connection", "batchops.db.mysql.event_tables:MySQLEvents"),
    "sqlite3": ("batchops.db.sqlite.user_connection", "batchops.db.sqlite.event_tables:SQLiteEvents"),
}
"""By the package that a driver's connection is of: how it is spoken to, and how its family keeps events."""


class UserConnection:
    """Statements in somebody else's transaction; it is neither begun nor ended here.

    `connection` is SQLAlchemy's Connection or Session, or a connection of psycopg, PyMySQL or sqlite3.
    """

    def __init__(self, connection: Any) -> None:
        self._mapped = connection.connection() if _is(connection, "sqlalchemy", "Session") else connection
        ours = hasattr(self._mapped, "exec_driver_sql")
        self._sqlalchemy = ours
        self._driver: Any = self._mapped.connection.driver_connection if ours else self._mapped
        driver = type(self._driver).__module__.partition(".")[0]
        if driver not in _DRIVERS:
            driver = next((b.__module__ for b in type(self._driver).__mro__ if b.__module__ in _DRIVERS), driver)
        if driver not in _DRIVERS or not hasattr(self._driver, "cursor"):
            raise UsageError(
                f"{type(connection).__module__}.{type(connection).__qualname__} is no connection that batchops knows.",
                "give SQLAlchemy's Connection or Session, or one of psycopg, PyMySQL or sqlite3.",
            )
        spoken, events = _DRIVERS[driver]
        self._speech: Any = import_module(spoken)
        module, _, name = events.partition(":")
        self.events: EventTables = getattr(import_module(module), name)()

    def table(self, name: str) -> str:
        """A table's name as SQL; a dot parts schema and name."""
        return ".".join(map(self.column, name.split(".")))

    def column(self, name: str) -> str:
        """A column's name as SQL."""
        quote: str = self._speech.QUOTE
        return quote + name.replace(quote, quote * 2) + quote

    def check(self) -> None:
        """UsageError where every statement would be a transaction of its own."""
        if self._speech.alone(self._driver):
            raise UsageError(
                "The connection is in autocommit mode and in no transaction: an event would be kept though its "
                "change is rolled back.",
                "begin a transaction first, and save the event in it.",
            )

    def takes_bytes(self, table: str, column: str) -> bool:
        """Whether bytes stay what they are in that column."""
        sql: str = self._speech.BINARY
        return not sql or bool(self.fetch(sql, (self.table(table), column)))

    def fetch(self, sql: str, values: Sequence[Any]) -> list[Any]:
        """Execute it, a text of ours with `?` for each value; the rows."""
        sql = sql.replace("?", self._speech.PLACE)
        if self._sqlalchemy:
            return list(self._mapped.exec_driver_sql(sql, tuple(values)))
        cursor = self._driver.cursor()
        try:
            cursor.execute(sql, tuple(values))
            return list(cursor.fetchall())
        finally:
            cursor.close()

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """A row for each of `rows`, with a value for each column."""
        names = f"{self.table(table)} ({', '.join(map(self.column, columns))})"
        if self._speech.PLACE == "%s":  # the driver takes a name's percent sign for the mark of a value
            names = names.replace("%", "%%")
        sql = f"INSERT INTO {names} VALUES ({', '.join(self._speech.PLACE for _ in columns)})"
        if self._sqlalchemy:
            self._mapped.exec_driver_sql(sql, [tuple(row) for row in rows])
            return
        cursor = self._driver.cursor()
        try:
            cursor.executemany(sql, [tuple(row) for row in rows])
        finally:
            cursor.close()


def _is(value: Any, package: str, name: str) -> bool:
    """Without importing the package: whoever has such a value has it imported."""
    return any(b.__module__.partition(".")[0] == package and b.__name__ == name for b in type(value).__mro__)
