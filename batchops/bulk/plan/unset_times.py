"""Finds values that --older-than and --before match though they are no times: 0, '', a number in another unit."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import sqlalchemy as sa

from batchops.db import epoch_columns
from batchops.db.database import Database
from batchops.db.recorded_statements import shown_sql
from batchops.db.table import Column, Table, quoted
from batchops.errors import UsageError
from batchops.sql.selection import user_sql

_SOME_DAY = "2001-09-09"


@dataclass(frozen=True)
class AgeColumn:
    """The time column of the matching rows."""

    database: Database
    table: Table
    column: Column
    matching: str

    def warnings(self, connection: sa.Connection, seconds: float) -> Iterator[str]:
        """Yield a warning if matching rows have no time, counted for `seconds` at most; UsageError if units differ."""
        unit = self._unit(connection)
        if unit is not None:
            self._of_one_unit(connection, unit, seconds)
        condition = self._unset(counts=unit is not None)
        if condition is None:
            return
        rows = self._rows(user_sql(self.matching), user_sql(condition))
        within = self.database.backend.facts.count_within
        counted = within(connection, rows, seconds)
        if counted == 0 or (counted is None and not within(connection, rows.limit(1), seconds)):
            return
        many = "Some rows have" if counted is None else f"{counted:,} row{' has' if counted == 1 else 's have'}"
        yield (
            f'{many} no time in "{self.column.name}" ({condition}), which is before any cut-off. To leave them out: '
            f'--where "NOT ({condition})".'
        )

    def _rows(self, *where: sa.ColumnElement[bool] | sa.TextClause) -> sa.Select[Any]:
        rows: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(self.table.called)
        return self.table.alone(rows).where(*where)

    def _unit(self, connection: sa.Connection) -> epoch_columns.Unit | None:
        """Return the unit that the column counts in; None if it holds no numbers, or those of a Julian day."""
        written = self.database.backend.cutoffs.before(connection, self.table, self.column, _SOME_DAY)
        try:
            return epoch_columns.unit_of(Decimal(written))
        except InvalidOperation:
            return None

    def _unset(self, *, counts: bool) -> str | None:
        name = shown_sql(self.database, sa.column(self.column.name))
        if counts:
            return f"{name} <= 0"
        value = self.database.backend.cutoffs.unset_time
        return None if value is None else f"{name} = {value}"

    def _of_one_unit(self, connection: sa.Connection, unit: epoch_columns.Unit, seconds: float) -> None:
        """Raise UsageError if a row is in another unit than the few sampled rows; a short search looks for one."""
        own = self.table.called.c[quoted(self.column.name)]
        one = self._rows(epoch_columns.of_another_unit(own, unit)).limit(1)
        if not self.database.backend.facts.count_within(connection, one, seconds):
            return
        value = connection.execute(one.with_only_columns(own)).scalar()
        raise UsageError(
            f'Column "{self.column.name}" of "{self.table.label}" counts in {unit.name} since 1970, but also holds '
            f"{value}, which is of another unit.",
            "write the comparison yourself with --where.",
        )
