"""What a column can hold, by its type, its checks and, where the type does not say it, its values."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.db.table import Column, Table, quoted

SAMPLE = 1_000
"""How many rows are sampled: the last ones by the key."""


class Kind(StrEnum):
    """What the values of a column mean, as far as its type tells."""

    TIME = "a time"
    FLAG = "yes or no"
    SMALL = "a small number"
    """Of a type too small for a time in seconds."""
    NUMBER = "a number"
    LARGE = "a large number"
    """Of a type too large for a flag."""
    WORDS = "a text"
    OTHER = "something else"


class Clock(StrEnum):
    """The moment that the default of a column reads, where the default is a clock."""

    EVENT = "as the row is written"
    STATEMENT = "at the start of the statement"
    TRANSACTION = "at the start of the transaction"
    OTHER = "it is none"


class Contents(Protocol):
    """What one database can tell about the values of a column."""

    def kind(self, connection: sa.Connection, table: Table, column: Column) -> Kind:
        """Return the kind of values that the column holds."""

    def refusal(self, connection: sa.Connection, table: Table, column: Column, value: str | None) -> str | None:
        """Return why the column cannot have that value (its type, labels or checks); None where it can.

        `value` None means NULL.
        """

    def checks(self, connection: sa.Connection, table: Table) -> Sequence[tuple[str, str]]:
        """Return name and expression of each CHECK constraint of the table that can be read."""

    def named(self, column: Column, value: str) -> str | int:
        """Return a value that a person named, as this column takes it; the caller has asked `refusal` before."""

    def now(self, column: Column) -> sa.ColumnElement[Any]:
        """Return the server's current time for a column of times or texts; in UTC where the column has no zone."""

    def clock(self, column: Column) -> Clock:
        """Return which clock the column's default reads."""

    def sorts_by_time(self, column: Column) -> bool:
        """Whether the column's type sorts UUIDs of version 1 by the time in them."""

    def zoneless(self, column: Column) -> bool:
        """Whether a column of times has values without a zone."""


def sample(connection: sa.Connection, table: Table, column: str, key: str) -> Sequence[Any]:
    """Return distinct values of the column among the last rows by `key`, as the driver gives them; NULL is None."""
    own = table.called.c[quoted(column)].label("value")
    last = sa.select(own).select_from(table.called).order_by(table.called.c[quoted(key)].desc()).limit(SAMPLE)
    return connection.execute(sa.select(last.subquery("last").c.value).distinct().limit(100)).scalars().all()


def refused_by(
    connection: sa.Connection, column: Column, value: sa.ColumnElement[Any], checks: Sequence[tuple[str, str]]
) -> str | None:
    """Return a message about the first of `checks` that the value fails, None for none.

    Each check is a name and an expression over that column alone.
    """
    alone = sa.select(value.label(quoted(column.name))).subquery("alone")
    for name, expression in checks:
        held = sa.select(sa.literal_column(f"({expression})", sa.Boolean())).select_from(alone)
        answer = connection.execute(held).scalar()
        if answer is not None and not answer:
            return f"the check {name} refuses it"
    return None
