"""Values and points in time as literals of SQLite."""

import re
from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa

from batchops.db import epoch_columns
from batchops.db.literals import Value, day, moment, number, quoted_text, span
from batchops.db.table import Column, Table, quoted
from batchops.errors import UsageError

_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def literal(value: Value) -> str:
    """Return the value as a literal: a moment as text, in UTC if it has a zone; a duration as '90 days'."""
    match value:
        case bool():
            return str(int(value))
        case str():
            return quoted_text(value)
        case datetime():
            here = value if value.tzinfo is None else value.astimezone(UTC)
            return f"'{moment(here)}'"
        case date():
            return f"'{day(value)}'"
        case timedelta():
            size, unit = span(value)
            if unit == "microsecond":  # SQLite's functions do not know this unit
                return f"'{value.total_seconds():.6f}".rstrip("0") + " seconds'"
            return f"'{size} {unit}{'' if size == 1 else 's'}'"
        case _:
            return number(value)


def before(connection: sa.Connection, table: Table, column: Column, moment: str) -> str:
    """Return the moment as written, in the form that the column's values have."""
    point = datetime.fromisoformat(moment)
    if point.tzinfo is not None:
        point = point.astimezone(UTC).replace(tzinfo=None)
    return _spelled(connection, table, column, point)


def ago(connection: sa.Connection, table: Table, column: Column, ago: timedelta) -> str:
    """Return SQLite's current time, in UTC, minus `ago`."""
    text = connection.execute(sa.text("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")).scalar_one()
    return _spelled(connection, table, column, datetime.fromisoformat(text) - ago)


def _spelled(connection: sa.Connection, table: Table, column: Column, point: datetime) -> str:
    """Return the moment in the form of the column's values: SQLite compares times as texts or numbers."""
    own = table.clause.c[quoted(column.name)]
    # In many tables 0, -1 and an empty text mean "never".
    times = sa.select(own).where(own > 0, own != "").limit(1)
    anything = sa.select(own).where(own != "").limit(1)  # if no value is positive: -1.5 has no unit
    sample = next((found for one in (times, anything) if (found := connection.execute(one).scalar()) is not None), None)
    spelled = _number(sample, point) if isinstance(sample, int | float) else _text(str(sample or ""), point)
    if spelled is None:
        raise UsageError(
            f'Column "{column.name}" of "{table.label}" holds "{str(sample)[:40]}": neither a date that begins with '
            "year-month-day, nor seconds, milliseconds or the like since 1970, nor a Julian day.",
            "write the comparison yourself with --where.",
        )
    return spelled


def _number(sample: float, point: datetime) -> str | None:
    """Return the moment in the unit of the sample; None if the sample is no time.

    Its size tells the unit: a Julian day (the years 1585 to 2100), or seconds, milliseconds … since 1970, from 1973 on.
    """
    seconds = point.replace(tzinfo=UTC).timestamp()
    if isinstance(sample, float) and 2.3e6 < sample < 2.5e6:
        return repr(seconds / 86_400 + 2_440_587.5)
    unit = epoch_columns.unit_of(sample)
    if unit is None:
        return None
    if isinstance(sample, float) and unit.per_second == 1:
        return repr(seconds)
    return epoch_columns.literal(unit, seconds)


def _text(sample: str, point: datetime) -> str | None:
    """Return the moment as a text like the sample; None if that is no date.

    It has no zeros at its end: they would make it greater than the same moment written without them.
    """
    if sample and not _DATE.match(sample):
        return None
    if len(sample) == len("2026-01-31"):
        return f"'{point:%Y-%m-%d}'"
    separator = "T" if "T" in sample else " "
    text = point.isoformat(separator, "microseconds" if point.microsecond else "seconds")
    return f"'{text.rstrip('0') if point.microsecond else text}'"


class SQLiteCutoffs:
    """Writes points in time in the form of the values that the column holds."""

    unset_time: str | None = "''"
    before = staticmethod(before)
    ago = staticmethod(ago)
