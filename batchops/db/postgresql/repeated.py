"""Statements that are sent again and again, built and compiled once."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg
import sqlalchemy as sa

from batchops.db.postgresql.sessions import joined_parts
from batchops.db.recorded_statements import is_recorded

Build = Callable[..., sa.Select[Any] | sa.Update | sa.Delete]
"""Makes the statement of its values by name, or of their parameters."""
_NAME = "batchops_"
"""How the names of the values begin in the statement: SQLAlchemy gives a value that is named like a column to that."""


class RepeatedStatement:
    """One statement with other values each time.

    To build it, to find it among SQLAlchemy's compiled ones and to make a Row of each row takes as long as the server
    takes for a batch.
    """

    def __init__(self, build: Build, types: Mapping[str, sa.types.TypeEngine[Any]]) -> None:
        """`types`: of the values. The driver takes and gives them as they are, and rows too."""
        self._build = build
        self._types = types
        self._compiled: sa.Compiled | None = None

    def rows(self, connection: sa.Connection, **values: Any) -> Sequence[tuple[Any, ...]]:
        """What it selects or returns, with these values."""
        if is_recorded(connection):
            cursor = connection.execute(self._build(**values)).cursor
        else:
            compiled = self._compiled = self._compiled or self._compile(connection)
            params = compiled.construct_params({_NAME + name: value for name, value in values.items()})
            if (parts := joined_parts(connection)) is not None:
                return _joined(connection, f"{parts[0]}{compiled.string}{parts[1]}", params)
            cursor = connection.exec_driver_sql(compiled.string, params).cursor
        found: Sequence[tuple[Any, ...]] = cursor.fetchall()
        return found

    def _compile(self, connection: sa.Connection) -> sa.Compiled:
        places = {name: sa.bindparam(_NAME + name, type_=type) for name, type in self._types.items()}
        return self._build(**places).compile(dialect=connection.dialect)


def _joined(connection: sa.Connection, text: str, params: Any) -> Sequence[tuple[Any, ...]]:
    """What the one of several statements gives that gives rows. A message of several takes values as literals alone."""
    driver_connection: Any = connection.connection.driver_connection
    cursor = psycopg.ClientCursor[tuple[Any, ...]](driver_connection)
    try:
        cursor.execute(text, params)
    except psycopg.Error:
        if driver_connection.closed:
            connection.engine.dispose()  # as SQLAlchemy does: the other connections have most likely been lost too
        raise
    while cursor.description is None and cursor.nextset():
        pass
    return cursor.fetchall()
