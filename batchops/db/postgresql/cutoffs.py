"""A point in time as a literal in a column's own type."""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from batchops.db.postgresql.keys import Named
from batchops.db.table import Column, Table
from batchops.errors import UsageError

_TIMES = ("timestamp", "date")


def _check(table: Table, column: Column) -> None:
    if not column.type.startswith(_TIMES):
        raise UsageError(
            f'Column "{column.name}" of "{table.label}" is {column.type}, not a date or timestamp.',
            "write the comparison yourself with --where.",
        )


def _literal(connection: sa.Connection, value: sa.ColumnElement[Any], column: Column) -> str:
    text = connection.execute(sa.select(sa.cast(sa.cast(value, Named(column.type)), sa.Text))).scalar_one()
    return f"CAST('{text}' AS {column.type})"


def before(connection: sa.Connection, table: Table, column: Column, moment: str) -> str:
    """The moment as written, read by the server in the session's zone."""
    _check(table, column)
    with connection.begin_nested():
        return _literal(connection, sa.bindparam(None, moment, sa.Text), column)


def ago(connection: sa.Connection, table: Table, column: Column, ago: timedelta) -> str:
    """The server's now less `ago`."""
    _check(table, column)
    return _literal(connection, sa.func.now() - sa.cast(sa.bindparam(None, ago), sa.Interval), column)
