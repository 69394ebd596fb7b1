"""Values and points in time that a person names, as literals.

What is alike in all databases; a literal can be put anywhere, as nothing in it depends on the server's settings.
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
"""A value as SQL; UsageError for one that this database has no literal for."""
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
"""A name that needs no quotes; they are escaped, as the comparison is in the shell's double ones."""
_TEXTS = ("char", "varchar", "text", "citext", "tinytext", "mediumtext", "longtext")


class Cutoffs(Protocol):
    """Points in time as literals in a column's own type."""

    unset_time: str | None
    """What is in a column of dates where no time was set, beside NULL."""

    def before(self, connection: sa.Connection, table: Table, column: Column, moment: str) -> str:
        """A literal in the column's own type for the moment a person wrote; UsageError where it is none."""

    def ago(self, connection: sa.Connection, table: Table, column: Column, ago: timedelta) -> str:
        """A literal in the column's own type for that long ago by the server's clock."""


def number(value: float | Decimal) -> str:
    """Digits; in parentheses if negative, as a minus sign before it would make a comment of the two."""
    decimal = value if isinstance(value, Decimal) else Decimal(repr(value))
    if not decimal.is_finite():
        raise UsageError(f"{value} is not a number that SQL can name.")
    return f"({decimal:f})" if decimal < 0 else f"{decimal:f}"


def quoted_text(value: str) -> str:
    """In single quotes, each one in it doubled: right everywhere as long as there is no backslash in it."""
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise UsageError("A text holds what no database takes as text.")
    return "'" + value.replace("'", "''") + "'"


def moment(value: datetime) -> str:
    """Year to microseconds, without its zone."""
    return value.replace(tzinfo=None).isoformat(" ")


def day(value: date) -> str:
    """Year, month, day."""
    return value.isoformat()


_SPANS = {
    "day": timedelta(days=1), "hour": timedelta(hours=1), "minute": timedelta(minutes=1),
    "second": timedelta(seconds=1), "microsecond": timedelta(microseconds=1),
}  # fmt: skip


def span(value: timedelta) -> tuple[int, str]:
    """A duration as a whole number of the largest unit: (365, "day")."""
    unit = next((unit for unit, length in _SPANS.items() if value and not value % length), "second")
    return value // _SPANS[unit], unit


def no_time(table: Table, column: Column, times: str, comparison: str, quote: str) -> UsageError:
    """The message on a column that holds none of `times`. `comparison`: for a column of texts; {} is its name."""
    name = column.name if _PLAIN.fullmatch(column.name) else f"\\{quote}{column.name}\\{quote}"
    hint = "write the comparison yourself with --where."
    if column.type.lower().startswith(_TEXTS):
        hint = f'where its texts are times, --where "{comparison.format(name)}" compares them.'
    return UsageError(f'Column "{column.name}" of "{table.label}" is {column.type}, not a {times}.', hint)


def whole(ago: timedelta) -> tuple[int, str]:
    """The number of days, where it is whole ones, else of seconds."""
    days, rest = divmod(ago, timedelta(days=1))
    return (round(ago.total_seconds()), "second") if rest else (days, "day")
