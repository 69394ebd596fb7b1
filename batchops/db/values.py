"""Values that a person names in an expression by `:name`, as literals.

What is alike in all databases; a literal can be put anywhere, as nothing in it depends on the server's settings.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal

from batchops.errors import UsageError

Value = bool | int | float | Decimal | str | datetime | date | timedelta
Literal = Callable[[Value], str]
"""A value as SQL; UsageError for one that this database has no literal for."""


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


def microseconds(value: timedelta) -> int:
    """A duration as a whole number."""
    return value // timedelta(microseconds=1)
