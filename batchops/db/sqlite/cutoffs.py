"""A point in time as a literal spelled the way the column already spells its own."""

import re
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from batchops.db.table import Column, Table, quoted
from batchops.errors import UsageError

_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def before(connection: sa.Connection, table: Table, column: Column, moment: str) -> str:
    """The moment as written, in the column's own spelling."""
    try:
        point = datetime.fromisoformat(moment)
    except ValueError as error:
        raise UsageError(
            f'"{moment}" is not a date or time.', "write it like 2026-01-31 or 2026-01-31 12:00:00."
        ) from error
    if point.tzinfo is not None:
        point = point.astimezone(UTC).replace(tzinfo=None)
    return _spelled(connection, table, column, point)


def ago(connection: sa.Connection, table: Table, column: Column, ago: timedelta) -> str:
    """SQLite's now, in UTC, less `ago`."""
    text = connection.execute(sa.text("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")).scalar_one()
    return _spelled(connection, table, column, datetime.fromisoformat(text) - ago)


def _spelled(connection: sa.Connection, table: Table, column: Column, point: datetime) -> str:
    """SQLite compares times as text or number: the literal must look like what stands in the column."""
    own = table.clause.c[quoted(column.name)]
    sample = connection.execute(sa.select(own).where(own.is_not(None)).limit(1)).scalar()
    if isinstance(sample, int | float):
        seconds = point.replace(tzinfo=UTC).timestamp()
        # Seconds since 1970 reach 11 digits in the year 5138; anything longer counts milliseconds.
        return repr(round(seconds * 1000) if abs(sample) >= 1e11 else int(seconds))
    text = str(sample) if sample is not None else ""
    if text and not _DATE.match(text):
        raise UsageError(
            f'Column "{column.name}" of "{table.label}" holds no dates or times that begin with year-month-day.',
            "write the comparison yourself with --where.",
        )
    if len(text) == len("2026-01-31"):
        return f"'{point:%Y-%m-%d}'"
    separator = "T" if "T" in text else " "
    fraction = point.isoformat(separator, "microseconds" if "." in text or point.microsecond else "seconds")
    return f"'{fraction}'"
