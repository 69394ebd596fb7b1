"""Columns that hold times as numbers since 1970: the unit is inferred from the size of the numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from batchops.db.table import Column, Table, quoted
from batchops.errors import UsageError

SAMPLES = 200


@dataclass(frozen=True)
class Unit:
    """A unit of time that such a column counts in."""

    name: str
    per_second: int


_UNITS = tuple(
    Unit(name, per)
    for name, per in (("seconds", 1), ("milliseconds", 10**3), ("microseconds", 10**6), ("nanoseconds", 10**9))
)
_LEAST, _MOST = 10**8, 10**11
"""Bounds of seconds since 1970 that cannot be taken for another unit: the years 1973 to 5138."""


def unit_of(number: float | Decimal) -> Unit | None:
    """Return the unit in which the number is a time between those bounds; None where there is no such unit."""
    return next((unit for unit in _UNITS if _LEAST <= number / unit.per_second < _MOST), None)


def of_another_unit(value: sa.ColumnElement[Any], unit: Unit) -> sa.ColumnElement[bool]:
    """Return the condition that the value is a time in one of the other units.

    The bounds are written into the SQL, as a driver may not bind numbers so large.
    """

    def number(seconds: int, one: Unit) -> sa.ColumnElement[int]:
        return sa.literal_column(str(seconds * one.per_second))

    others = (one for one in _UNITS if one != unit)
    return sa.or_(*(sa.and_(value >= number(_LEAST, one), value < number(_MOST, one)) for one in others))


def unit_in(connection: sa.Connection, table: Table, column: Column) -> Unit:
    """Return the unit of the numbers in the column; UsageError where they have no unit, or more than one."""
    own = table.called.c[quoted(column.name)]
    # In many tables 0 and -1 mean "never".
    some = table.alone(sa.select(own).where(own > 0)).limit(SAMPLES)
    values: Sequence[Any] = connection.execute(some).scalars().all()
    units = {unit_of(value) for value in values}
    if len(units) == 1 and (unit := units.pop()) is not None:
        return unit
    contents = "holds no number to tell its unit by" if not values else f"holds numbers such as {values[0]}"
    raise UsageError(
        f'Column "{column.name}" of "{table.label}" {contents}: neither a date nor seconds, milliseconds, '
        "microseconds or nanoseconds since 1970.",
        "write the comparison yourself with --where.",
    )


def literal(unit: Unit, seconds: float | Decimal) -> str:
    """Return so many seconds since 1970 as a whole number of the unit."""
    return str(int(Decimal(str(seconds)) * unit.per_second))


def shown(literal: str) -> str:
    """Return a number as a moment for people, with the unit that it is read in; empty for any other text."""
    try:
        value = Decimal(literal)
    except ArithmeticError:
        return ""
    unit = unit_of(value)
    if unit is None:
        return ""
    moment = datetime.fromtimestamp(float(value / unit.per_second), UTC)
    return f"{literal}, {unit.name} since 1970: {moment:%Y-%m-%d %H:%M:%S} UTC"
