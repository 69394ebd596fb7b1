"""Statements that are sent again and again, built and compiled once."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from batchops.db.recorded_statements import is_recorded

Build = Callable[..., sa.Select[Any] | sa.Update | sa.Delete]
"""Makes the statement of its values by name, or of what stands for them."""
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
            cursor = connection.exec_driver_sql(compiled.string, params).cursor
        found: Sequence[tuple[Any, ...]] = cursor.fetchall()
        return found

    def _compile(self, connection: sa.Connection) -> sa.Compiled:
        places = {name: sa.bindparam(_NAME + name, type_=type) for name, type in self._types.items()}
        return self._build(**places).compile(dialect=connection.dialect)
