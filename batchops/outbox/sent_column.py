"""The column that tells which events were sent: which values mean unsent, and which mark an event as sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from batchops import durations
from batchops.db.backend import Backend
from batchops.db.table import Column, Table, quoted
from batchops.errors import UsageError
from batchops.sql.selection import user_sql

NULL = "NULL"
"""How the user writes NULL among values."""


class SentFormat(StrEnum):
    """What the column holds for a sent event."""

    TIME = "time"
    SECONDS = "seconds"
    MILLISECONDS = "milliseconds"
    MICROSECONDS = "microseconds"
    """The time when it was sent, as a time or counted from 1970."""
    FLAG = "flag"
    """A flag: true or 1."""
    VALUE = "value"
    """A value that the user named."""


EPOCHS = {SentFormat.SECONDS: 1, SentFormat.MILLISECONDS: 1_000, SentFormat.MICROSECONDS: 1_000_000}
"""The units in a second, for each format that counts from 1970."""


@dataclass(frozen=True)
class SentColumn:
    """The column, as statements use it."""

    backend: Backend
    table: Table
    column: Column
    sent_format: SentFormat
    unsent_values: tuple[str | None, ...]
    """The values that mean unsent; None is NULL."""
    sent_value: str | None = None
    time: Column | None = None
    """Another column, which gets the time."""

    @cached_property
    def unsent(self) -> sa.ColumnElement[bool]:
        """Return the condition for unsent events."""
        values = [value for value in self.unsent_values if value is not None]
        alternatives = [self._is(value) for value in values[:1]] if len(values) < 2 else [self._among(values)]
        if None in self.unsent_values:
            alternatives.append(self._own.is_(None))
        return alternatives[0] if len(alternatives) == 1 else sa.or_(*alternatives)

    @cached_property
    def sent(self) -> sa.ColumnElement[bool]:
        """Return the condition for sent events.

        With named values an event may be neither sent nor unsent: it failed, or another program skipped it.
        """
        if self.sent_format is SentFormat.VALUE:
            return self._own.is_(None) if self.sent_value is None else self._is(self.sent_value)
        return sa.not_(self.unsent)

    def marked(self) -> list[tuple[sa.ColumnElement[Any], Any]]:
        """Return the columns and values that mark an event as sent."""
        marks = [(self._own, self._mark())]
        if self.time is not None:
            marks.append((self._column(self.time), self.backend.contents.now(self.time)))
        return marks

    @property
    def when(self) -> sa.ColumnElement[Any] | None:
        """Return the column with the time when an event was sent; None if there is none."""
        if self.time is not None:
            return self._column(self.time)
        return None if self.sent_format in (SentFormat.FLAG, SentFormat.VALUE) else self._own

    def compared(self, connection: sa.Connection, operator: str, text: str) -> sa.ColumnElement[bool]:
        """Return a comparison of `when` with a time, or with a duration before now; raise UsageError for other text."""
        when = self.when
        assert when is not None
        return when.op(operator, is_comparison=True)(user_sql(self._boundary(connection, text)))

    @property
    def shown(self) -> str:
        """Return what marking does, as text for a plan."""
        name = self.column.name
        match self.sent_format:
            case SentFormat.VALUE:
                was = " or ".join(NULL if value is None else value for value in self.unsent_values)
                text = f"{name} from {was} to {NULL if self.sent_value is None else self.sent_value}"
            case SentFormat.FLAG:
                text = f"marked in {name}"
            case SentFormat.TIME:
                zone = " in UTC" if self.backend.contents.zoneless(self.column) else ""
                text = f"marked in {name}, with the time{zone}"
            case _:
                text = f"marked in {name}, in {self.sent_format} since 1970"
        return text if self.time is None else f"{text}; the time in {self.time.name}"

    def _boundary(self, connection: sa.Connection, text: str) -> str:
        column = self.time or self.column
        unit = EPOCHS.get(self.sent_format) if self.time is None else None
        if unit is None and not self.backend.contents.zoneless(column):
            return self._in_its_zone(connection, column, text)
        moment = _moment(connection.execute(sa.select(self.backend.own_tables.epoch())).scalar_one(), text)
        if unit is not None:
            return str(int(moment.timestamp() * unit))
        plain = moment.replace(tzinfo=None)
        return self.backend.sql_functions.literal(plain.date() if column.stored.lower() == "date" else plain)

    def _in_its_zone(self, connection: sa.Connection, column: Column, text: str) -> str:
        try:
            return self.backend.cutoffs.ago(connection, self.table, column, durations.parse(text))
        except ValueError:
            _read(text)
            return self.backend.cutoffs.before(connection, self.table, column, text)

    @property
    def _own(self) -> sa.ColumnElement[Any]:
        return self._column(self.column)

    def _column(self, column: Column) -> sa.ColumnElement[Any]:
        return self.table.called.c[quoted(column.name)]

    @property
    def _boolean(self) -> bool:
        return self.column.stored.lower().startswith("bool")

    def _mark(self) -> sa.ColumnElement[Any]:
        if self.sent_format is SentFormat.VALUE:
            return sa.null() if self.sent_value is None else self._literal(self.sent_value)
        if self.sent_format is SentFormat.FLAG:
            return sa.true() if self._boolean else sa.literal_column("1")
        if self.sent_format is SentFormat.TIME:
            return self.backend.contents.now(self.column)
        return sa.cast(sa.func.floor(self.backend.own_tables.epoch() * EPOCHS[self.sent_format]), sa.BigInteger())

    def _is(self, value: str) -> sa.ColumnElement[bool]:
        if self.sent_format is SentFormat.FLAG:
            return sa.not_(self._own) if self._boolean else self._own == sa.literal_column("0")
        return self._own == self._literal(value)

    def _among(self, values: Sequence[str]) -> sa.ColumnElement[bool]:
        return self._own.in_([self._literal(value) for value in values])

    def _literal(self, value: str) -> sa.ColumnElement[Any]:
        """Return the value as a literal: with a parameter, a partial index on unsent events would not be used."""
        return sa.literal_column(self.backend.sql_functions.literal(self.backend.contents.named(self.column, value)))


def _read(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f'"{text}" is not a date or time.', "write it like 2026-01-31 or 2h.") from None


def _moment(now: float, text: str) -> datetime:
    try:
        return datetime.fromtimestamp(float(now) - durations.parse(text).total_seconds(), UTC)
    except ValueError:
        pass
    read = _read(text)
    return read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)
