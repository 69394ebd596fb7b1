"""Values and points in time as literals of PostgreSQL."""

from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from batchops.db import epoch_columns
from batchops.db.literals import Value, day, moment, no_time, number, quoted_text, span, whole
from batchops.db.postgresql.keys import NamedType
from batchops.db.table import Column, Table

_TIMES = ("timestamp", "date")
_NUMBERS = ("smallint", "integer", "bigint", "numeric", "real", "double")


def literal(value: Value) -> str:
    """Return the value as a literal, with its type where PostgreSQL has one for it."""
    match value:
        case bool():
            return "TRUE" if value else "FALSE"
        case str():
            text = quoted_text(value)
            # E'' reads a backslash the same way whatever standard_conforming_strings says.
            return "E" + text.replace("\\", "\\\\") if "\\" in text else text
        case datetime() if value.tzinfo is not None:
            return f"TIMESTAMPTZ '{value.isoformat(' ')}'"
        case datetime():
            return f"TIMESTAMP '{moment(value)}'"
        case date():
            return f"DATE '{day(value)}'"
        case timedelta():
            # Days are those of the calendar in the session's zone, as for --older-than.
            size, unit = span(value)
            return f"INTERVAL '{size} {unit}{'' if size == 1 else 's'}'"
        case _:
            return number(value)


def _holds_numbers(table: Table, column: Column, point: str) -> bool:
    """Whether the column holds times as numbers; UsageError if it holds no times. `point`: the cut-off for the hint."""
    if not column.type.startswith((*_TIMES, *_NUMBERS)):
        raise no_time(table, column, "date or timestamp", f"CAST({{}} AS timestamptz) < {point}", '"')
    return column.type.startswith(_NUMBERS)


def _literal(connection: sa.Connection, value: sa.ColumnElement[Any], column: Column) -> str:
    text = connection.execute(sa.select(sa.cast(sa.cast(value, NamedType(column.type)), sa.Text))).scalar_one()
    return f"CAST('{text}' AS {column.type})"


def before(connection: sa.Connection, table: Table, column: Column, moment: str) -> str:
    """Return the moment as written, which the server reads in the session's zone."""
    text = sa.bindparam(None, datetime.fromisoformat(moment).isoformat(" "), sa.Text)
    if _holds_numbers(table, column, f"'{moment}'"):
        return _number(connection, table, column, sa.cast(text, NamedType("timestamptz")))
    with connection.begin_nested():
        return _literal(connection, text, column)


def ago(connection: sa.Connection, table: Table, column: Column, ago: timedelta) -> str:
    """Return the server's current time minus `ago`."""
    point = sa.func.now() - sa.cast(sa.bindparam(None, ago), sa.Interval)
    number, unit = whole(ago)
    if _holds_numbers(table, column, f"now() - interval '{number} {unit}s'"):
        return _number(connection, table, column, point)
    return _literal(connection, point, column)


def _number(connection: sa.Connection, table: Table, column: Column, point: sa.ColumnElement[Any]) -> str:
    unit = epoch_columns.unit_in(connection, table, column)
    seconds = connection.execute(sa.select(sa.cast(sa.func.extract("epoch", point), sa.Numeric))).scalar_one()
    return epoch_columns.literal(unit, seconds)


class PostgreSQLCutoffs:
    """Writes points in time by the column's type, or by the numbers that the column holds."""

    unset_time: str | None = None
    before = staticmethod(before)
    ago = staticmethod(ago)
