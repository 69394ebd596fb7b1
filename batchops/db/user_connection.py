"""Statements on the user's own connection, inside the user's own transaction."""

from collections.abc import Sequence
from typing import Any, Protocol

from batchops.db.event_tables import EventTables
from batchops.db.registry import by_driver, drivers, load
from batchops.errors import UsageError


class UserDriver(Protocol):
    """How to use the connections of one driver."""

    quote: str
    """The quote around names."""
    place: str
    """The placeholder for a value."""
    binary: str
    """SQL that returns a row if the column, given by table and name, stores bytes unchanged; empty: all columns do."""
    events: EventTables
    """How its database makes and reads event tables."""

    def alone(self, connection: Any) -> bool:
        """Whether the next statement would be a transaction of its own (autocommit, and no transaction begun)."""


class UserConnection:
    """Runs statements in the user's transaction, which batchops neither begins nor ends.

    `connection` is SQLAlchemy's Connection or Session, or a connection of psycopg, PyMySQL or sqlite3.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection.connection() if _is_instance(connection, "sqlalchemy", "Session") else connection
        ours = hasattr(self._connection, "exec_driver_sql")
        self._sqlalchemy = ours
        self._driver: Any = self._connection.connection.driver_connection if ours else self._connection
        packages = (own.__module__.partition(".")[0] for own in type(self._driver).__mro__)
        found = next((known for package in packages if (known := by_driver(package))), None)
        if found is None or not hasattr(self._driver, "cursor"):
            raise UsageError(
                f"{type(connection).__module__}.{type(connection).__qualname__} is not a connection that batchops "
                "knows.",
                f"give SQLAlchemy's Connection or Session, or one of {', '.join(drivers())}.",
            )
        self._user_driver: UserDriver = load(found.user_driver)()
        self.events = self._user_driver.events

    def table(self, name: str) -> str:
        """Return a table's name as SQL; a dot separates schema and name."""
        return ".".join(map(self.column, name.split(".")))

    def column(self, name: str) -> str:
        """Return a column's name as SQL."""
        quote = self._user_driver.quote
        return quote + name.replace(quote, quote * 2) + quote

    def check(self) -> None:
        """Raise UsageError if every statement would be a transaction of its own."""
        if self._user_driver.alone(self._driver):
            raise UsageError(
                "The connection is in autocommit mode and in no transaction: an event would be kept though its "
                "change is rolled back.",
                "begin a transaction first, and save the event in it.",
            )

    def takes_bytes(self, table: str, column: str) -> bool:
        """Whether that column stores bytes unchanged."""
        sql = self._user_driver.binary
        return not sql or bool(self.fetch(sql, (self.table(table), column)))

    def fetch(self, sql: str, values: Sequence[Any]) -> list[Any]:
        """Run batchops' own SQL, which has `?` for each value, and return the rows."""
        sql = sql.replace("?", self._user_driver.place)
        if self._sqlalchemy:
            return list(self._connection.exec_driver_sql(sql, tuple(values)))
        cursor = self._driver.cursor()
        try:
            cursor.execute(sql, tuple(values))
            return list(cursor.fetchall())
        finally:
            cursor.close()

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Insert `rows`, each with a value for each column."""
        names = f"{self.table(table)} ({', '.join(map(self.column, columns))})"
        if self._user_driver.place == "%s":  # the driver would take a percent sign in a name for a placeholder
            names = names.replace("%", "%%")
        sql = f"INSERT INTO {names} VALUES ({', '.join(self._user_driver.place for _ in columns)})"
        if self._sqlalchemy:
            self._connection.exec_driver_sql(sql, [tuple(row) for row in rows])
            return
        cursor = self._driver.cursor()
        try:
            cursor.executemany(sql, [tuple(row) for row in rows])
        finally:
            cursor.close()


def _is_instance(value: Any, package: str, name: str) -> bool:
    """Whether the value is of that class. The package is not imported: if there is such a value, it has been."""
    return any(b.__module__.partition(".")[0] == package and b.__name__ == name for b in type(value).__mro__)
