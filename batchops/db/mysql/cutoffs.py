"""A point in time as a literal in a column's own type."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from batchops.db.table import Column, Table
from batchops.errors import UsageError

_WORDS = {"datetime": "TIMESTAMP", "timestamp": "TIMESTAMP", "date": "DATE"}


def _word(table: Table, column: Column) -> str:
    base = column.type.split("(")[0].split(" ")[0].lower()
    if base not in _WORDS:
        raise UsageError(
            f'Column "{column.name}" of "{table.label}" is {column.type}, not a date, datetime or timestamp.',
            "write the comparison yourself with --where.",
        )
    return _WORDS[base]


def before(connection: sa.Connection, table: Table, column: Column, moment: str) -> str:
    """The moment as written, read by the server in the session's zone."""
    word = _word(table, column)
    try:
        point = datetime.fromisoformat(moment)
    except ValueError as error:
        raise UsageError(
            f'"{moment}" is not a date or time.', "write it like 2026-01-31 or 2026-01-31 12:00:00."
        ) from error
    # MariaDB's own reading drops a zone, with a warning that nobody sees.
    here = "convert_tz(:moment, '+00:00', @@session.time_zone)" if point.tzinfo else ":moment"
    plain = point.astimezone(UTC).replace(tzinfo=None) if point.tzinfo else point
    kind = "date" if word == "DATE" else "datetime(6)"
    read = sa.text(f"SELECT CAST(CAST({here} AS {kind}) AS char)")
    text = connection.execute(read, {"moment": plain.isoformat(" ")}).scalar_one()
    return f"{word}'{text}'"


def ago(connection: sa.Connection, table: Table, column: Column, ago: timedelta) -> str:
    """The server's now less `ago`."""
    word = _word(table, column)
    kind = "date" if word == "DATE" else "datetime(6)"
    read = sa.text(f"SELECT CAST(CAST(now(6) - INTERVAL :us MICROSECOND AS {kind}) AS char)")
    text = connection.execute(read, {"us": ago // timedelta(microseconds=1)}).scalar_one()
    return f"{word}'{text}'"
