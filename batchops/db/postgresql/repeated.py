"""Statements that are sent many times but built and compiled once."""

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from batchops.db.postgresql.joined_statements import Found, may_wait, send_with, wait_for_next
from batchops.db.recorded_statements import is_recorded

Build = Callable[..., sa.Select[Any] | sa.Update | sa.Delete]
"""Makes the statement from its values, or from parameters for them, given by name."""
_NAME = "batchops_"
"""The prefix of the parameters' names: SQLAlchemy would use a parameter named like a column as that column's value."""


class RepeatedStatement:
    """One statement that is sent with different values each time.

    Building it each time, finding it in SQLAlchemy's cache and making a Row of each row would take as long as the
    server takes for a batch.
    """

    def __init__(self, build: Build, types: Mapping[str, sa.types.TypeEngine[Any]]) -> None:
        """`types` are the types of the values. The driver gets the values, and returns the rows, without conversion."""
        self._build = build
        self._types = types
        self._compiled: tuple[str, dict[str, Any]] | None = None

    def rows(self, connection: sa.Connection, **values: Any) -> Found:
        """Run the statement with these values and return its rows."""
        if is_recorded(connection):
            cursor = connection.execute(self._build(**values)).cursor
        else:
            text, params = self._with_values(connection, values)
            if may_wait(connection):
                return send_with(connection, text, params)
            cursor = connection.exec_driver_sql(text, params).cursor
        found: Found = cursor.fetchall()
        return found

    def rows_later(self, connection: sa.Connection, **values: Any) -> Callable[[], Found]:
        """Return a function that returns the rows; the statement is sent with the next one if it may wait for that."""
        if is_recorded(connection) or not may_wait(connection):
            found = self.rows(connection, **values)
            return lambda: found
        return wait_for_next(connection, *self._with_values(connection, values))

    def _with_values(self, connection: sa.Connection, values: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        text, params = self._compiled = self._compiled or self._compile(connection)
        return text, params | {_NAME + name: value for name, value in values.items()}

    def _compile(self, connection: sa.Connection) -> tuple[str, dict[str, Any]]:
        places = {name: sa.bindparam(_NAME + name, type_=type) for name, type in self._types.items()}
        compiled = self._build(**places).compile(dialect=connection.dialect)
        return compiled.string, dict(compiled.construct_params({_NAME + name: None for name in self._types}))
