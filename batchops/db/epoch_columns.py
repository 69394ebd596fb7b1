"""Columns that count time since 1970 in a number: which unit, told by the size of what is in them."""

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
    """What one counts."""

    name: str
    per_second: int


_UNITS = tuple(
    Unit(name, per)
    for name, per in (("seconds", 1), ("milliseconds", 10**3), ("microseconds", 10**6), ("nanoseconds", 10**9))
)
_LEAST, _MOST = 10**8, 10**11
"""Seconds since 1970 that are told from another unit: the years 1973 to 5138."""


def unit_of(number: float | Decimal) -> Unit | None:
    """The unit in which a number is a time of this age; None for one that is none."""
    return next((unit for unit in _UNITS if _LEAST <= number / unit.per_second < _MOST), None)


def of_another_unit(value: sa.ColumnElement[Any], unit: Unit) -> sa.ColumnElement[bool]:
    """Whether it is a time in one of the other units; written out, as a driver may know no numbers so large."""

    def number(seconds: int, one: Unit) -> sa.ColumnElement[int]:
        return sa.literal_column(str(seconds * one.per_second))

    others = (one for one in _UNITS if one != unit)
    return sa.or_(*(sa.and_(value >= number(_LEAST, one), value < number(_MOST, one)) for one in others))


def unit_in(connection: sa.Connection, table: Table, column: Column) -> Unit:
    """The unit of what is in the column; UsageError where it is none, or more than one."""
    own = table.called.c[quoted(column.name)]
    # 0 and -1 stand for "never" in many a table.
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
    """So many seconds since 1970, in the unit, as a whole number."""
    return str(int(Decimal(str(seconds)) * unit.per_second))


def shown(literal: str) -> str:
    """A number as a moment for people, with the unit it was read in; empty for anything else."""
    try:
        value = Decimal(literal)
    except ArithmeticError:
        return ""
    unit = unit_of(value)
    if unit is None:
        return ""
    moment = datetime.fromtimestamp(float(value / unit.per_second), UTC)
    return f"{literal}, {unit.name} since 1970: {moment:%Y-%m-%d %H:%M:%S} UTC"
