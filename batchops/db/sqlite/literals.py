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
    """A moment as text, in UTC if it has a zone; a duration as its functions take it: '90 days'."""
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
            if unit == "microsecond":  # which its functions do not know
                return f"'{value.total_seconds():.6f}".rstrip("0") + " seconds'"
            return f"'{size} {unit}{'' if size == 1 else 's'}'"
        case _:
            return number(value)


def before(connection: sa.Connection, table: Table, column: Column, moment: str) -> str:
    """The moment as written, in the column's own spelling."""
    point = datetime.fromisoformat(moment)
    if point.tzinfo is not None:
        point = point.astimezone(UTC).replace(tzinfo=None)
    return _spelled(connection, table, column, point)


def ago(connection: sa.Connection, table: Table, column: Column, ago: timedelta) -> str:
    """SQLite's now, in UTC, less `ago`."""
    text = connection.execute(sa.text("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")).scalar_one()
    return _spelled(connection, table, column, datetime.fromisoformat(text) - ago)


def _spelled(connection: sa.Connection, table: Table, column: Column, point: datetime) -> str:
    """SQLite compares times as text or number: the literal must look like what is in the column."""
    own = table.clause.c[quoted(column.name)]
    # 0, -1 and an empty text stand for "never" in many a table.
    times = sa.select(own).where(own > 0, own != "").limit(1)
    anything = sa.select(own).where(own != "").limit(1)  # a column of nothing but -1.5 counts no unit that is known
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
    """By its size: a Julian day (the years 1585 to 2100), or seconds, milliseconds … since 1970, from 1973 on."""
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
    """Without zeros at its end, which would make it greater than the same moment spelled without them."""
    if sample and not _DATE.match(sample):
        return None
    if len(sample) == len("2026-01-31"):
        return f"'{point:%Y-%m-%d}'"
    separator = "T" if "T" in sample else " "
    text = point.isoformat(separator, "microseconds" if point.microsecond else "seconds")
    return f"'{text.rstrip('0') if point.microsecond else text}'"


class SQLiteCutoffs:
    """By the column's type, or by what is in it."""

    unset_time: str | None = "''"
    before = staticmethod(before)
    ago = staticmethod(ago)
