"""Values and points in time as literals of MariaDB and MySQL."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import sqlalchemy as sa

from batchops.db import epoch_columns
from batchops.db.literals import Value, day, moment, no_time, number, quoted_text, span, whole
from batchops.db.table import Column, Table
from batchops.errors import UsageError

_WORDS = {"datetime": "TIMESTAMP", "timestamp": "TIMESTAMP", "date": "DATE"}
_NUMBERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double"})


def literal(value: Value) -> str:
    """Return the value as a literal, with its type where there is one; a duration can only follow + or -."""
    match value:
        case bool():
            return "TRUE" if value else "FALSE"
        case str():
            text = quoted_text(value)
            # sql_mode decides whether a backslash is an escape; hexadecimal digits mean the same under each.
            return f"_utf8mb4 X'{value.encode().hex()}'" if "\\" in value else text
        case datetime() if value.tzinfo is not None:
            raise UsageError(
                f'"{value}" has a zone, and a literal here has none.',
                "write it in the session's zone, without its own.",
            )
        case datetime():
            return f"TIMESTAMP'{moment(value)}'"
        case date():
            return f"DATE'{day(value)}'"
        case timedelta():
            size, unit = span(value)
            return f"INTERVAL {size} {unit.upper()}"
        case _:
            return number(value)


def _holds_numbers(column: Column) -> bool:
    """Whether the column holds times as numbers."""
    return column.type.split("(")[0].split(" ")[0].lower() in _NUMBERS


def _keyword(table: Table, column: Column, point: str) -> str:
    """Return the keyword before a literal of the column's type; UsageError if the column holds no times.

    `point` is the cut-off for the hint.
    """
    base = column.type.split("(")[0].split(" ")[0].lower()
    if base not in _WORDS:
        # An UPDATE that casts a text with a zone, or with digits after the seconds, fails; hence the LEFT.
        raise no_time(table, column, "date, datetime or timestamp", f"CAST(LEFT({{}}, 19) AS datetime) < {point}", "`")
    return _WORDS[base]


def before(connection: sa.Connection, table: Table, column: Column, moment: str) -> str:
    """Return the moment as written, which the server reads in the session's zone."""
    point = datetime.fromisoformat(moment)
    if _holds_numbers(column):
        unit = epoch_columns.unit_in(connection, table, column)
        read_here = sa.text("SELECT unix_timestamp(CAST(:moment AS datetime(6)))")
        local = point.timestamp() if point.tzinfo else connection.execute(read_here, {"moment": moment}).scalar_one()
        return epoch_columns.literal(unit, local)
    word = _keyword(table, column, f"'{moment}'")
    # MariaDB itself would ignore the zone, with only a warning that no user sees.
    here = "convert_tz(:moment, '+00:00', @@session.time_zone)" if point.tzinfo else ":moment"
    plain = point.astimezone(UTC).replace(tzinfo=None) if point.tzinfo else point
    kind = "date" if word == "DATE" else "datetime(6)"
    read = sa.text(f"SELECT CAST(CAST({here} AS {kind}) AS char)")
    text = connection.execute(read, {"moment": plain.isoformat(" ")}).scalar_one()
    return f"{word}'{text}'"


def ago(connection: sa.Connection, table: Table, column: Column, ago: timedelta) -> str:
    """Return the server's current time minus `ago`."""
    if _holds_numbers(column):
        now = connection.execute(sa.text("SELECT unix_timestamp(now(6))")).scalar_one()
        seconds = now - Decimal(ago // timedelta(microseconds=1)) / 1_000_000
        return epoch_columns.literal(epoch_columns.unit_in(connection, table, column), seconds)
    number, unit = whole(ago)
    word = _keyword(table, column, f"NOW() - INTERVAL {number} {unit.upper()}")
    kind = "date" if word == "DATE" else "datetime(6)"
    read = sa.text(f"SELECT CAST(CAST(now(6) - INTERVAL :us MICROSECOND AS {kind}) AS char)")
    text = connection.execute(read, {"us": ago // timedelta(microseconds=1)}).scalar_one()
    return f"{word}'{text}'"


class MySQLCutoffs:
    """Writes points in time by the column's type, or by the numbers that the column holds."""

    unset_time: str | None = "0"
    before = staticmethod(before)
    ago = staticmethod(ago)
