"""A point in time as a literal in a column's own type."""

from datetime import timedelta

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
    kind = "date" if word == "DATE" else "datetime(6)"
    read = sa.text(f"SELECT CAST(CAST(:moment AS {kind}) AS char)")
    text = connection.execute(read, {"moment": moment.replace("T", " ", 1)}).scalar_one()
    if text is None or text.startswith("0000"):
        raise UsageError(f'"{moment}" is not a date or time.', "write it like 2026-01-31 or 2026-01-31 12:00:00.")
    return f"{word}'{text}'"


def ago(connection: sa.Connection, table: Table, column: Column, ago: timedelta) -> str:
    """The server's now less `ago`."""
    word = _word(table, column)
    kind = "date" if word == "DATE" else "datetime(6)"
    read = sa.text(f"SELECT CAST(CAST(now(6) - INTERVAL :us MICROSECOND AS {kind}) AS char)")
    text = connection.execute(read, {"us": ago // timedelta(microseconds=1)}).scalar_one()
    return f"{word}'{text}'"
