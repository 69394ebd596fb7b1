"""Values and points in time that a person names, as SQL literals: what all databases have in common.

A literal means the same in any statement, as nothing in it depends on the server's settings.
"""

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Protocol

import sqlalchemy as sa

from batchops.db.table import Column, Table
from batchops.errors import UsageError

Value = bool | int | float | Decimal | str | datetime | date | timedelta
Literal = Callable[[Value], str]
"""Returns a value as a SQL literal; UsageError for one that this database has no literal for."""
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
"""Names that need no quotes in SQL. Other quotes are escaped, as a hint shows SQL inside the shell's double quotes."""
_TEXTS = ("char", "varchar", "text", "citext", "tinytext", "mediumtext", "longtext")


class Cutoffs(Protocol):
    """How one database writes points in time as literals of a column's own type."""

    unset_time: str | None
    """The literal that, beside NULL, means "no time was set" in a column of times; None where there is none."""

    def before(self, connection: sa.Connection, table: Table, column: Column, moment: str) -> str:
        """Return the moment that a person wrote as a literal of the column's own type.

        UsageError for a column that holds no times.
        """

    def ago(self, connection: sa.Connection, table: Table, column: Column, ago: timedelta) -> str:
        """Return the moment that long ago, by the server's clock, as a literal of the column's own type."""


def number(value: float | Decimal) -> str:
    """Return the number's digits, in parentheses if negative: a minus sign before it would begin a comment."""
    decimal = value if isinstance(value, Decimal) else Decimal(repr(value))
    if not decimal.is_finite():
        raise UsageError(f"{value} is not a number that SQL can name.")
    return f"({decimal:f})" if decimal < 0 else f"{decimal:f}"


def quoted_text(value: str) -> str:
    """Return the text in single quotes, with each quote in it doubled.

    Every database reads that right unless the text has a backslash.
    """
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise UsageError("A text holds what no database takes as text.")
    return "'" + value.replace("'", "''") + "'"


def moment(value: datetime) -> str:
    """Return the moment from year to microseconds, without its zone."""
    return value.replace(tzinfo=None).isoformat(" ")


def day(value: date) -> str:
    """Return year, month and day."""
    return value.isoformat()


_SPANS = {
    "day": timedelta(days=1), "hour": timedelta(hours=1), "minute": timedelta(minutes=1),
    "second": timedelta(seconds=1), "microsecond": timedelta(microseconds=1),
}  # fmt: skip


def span(value: timedelta) -> tuple[int, str]:
    """Return a duration as a whole number of the largest unit that fits: (365, "day")."""
    unit = next((unit for unit, length in _SPANS.items() if value and not value % length), "second")
    return value // _SPANS[unit], unit


def no_time(table: Table, column: Column, times: str, comparison: str, quote: str) -> UsageError:
    """Return the error for a column that holds none of `times`.

    `comparison` is SQL that compares a column of texts as times; {} in it is the column's name.
    """
    name = column.name if _PLAIN.fullmatch(column.name) else f"\\{quote}{column.name}\\{quote}"
    hint = "write the comparison yourself with --where."
    if column.type.lower().startswith(_TEXTS):
        hint = f'where its texts are times, --where "{comparison.format(name)}" compares them.'
    return UsageError(f'Column "{column.name}" of "{table.label}" is {column.type}, not a {times}.', hint)


def whole(ago: timedelta) -> tuple[int, str]:
    """Return the duration as a number of days if they are whole, else of seconds."""
    days, rest = divmod(ago, timedelta(days=1))
    return (round(ago.total_seconds()), "second") if rest else (days, "day")
