"""UPDATE as an operation."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from batchops.db.table import quoted
from batchops.selection import Selection, user_sql


class Update:
    """Sets columns of the part's rows that still match, in the order given: MySQL evaluates left to right."""

    def __init__(self, selection: Selection, assignments: Sequence[tuple[str, str]]) -> None:
        self._selection = selection
        self._assignments = assignments

    def statement(self, where: sa.ColumnElement[bool]) -> sa.Update:
        """The predicate stands in it again, as a row may have changed since it was read."""
        columns = self._selection.table.clause.c
        values = [(columns[quoted(name)], user_sql(f"({expression})")) for name, expression in self._assignments]
        return sa.update(self._selection.table.clause).where(where, self._selection.clause).ordered_values(*values)

    def rehearsal(self, where: sa.ColumnElement[bool]) -> sa.Select[Any]:
        """The values to set."""
        values = [user_sql(f"({expression})") for _, expression in self._assignments]
        rows = sa.select(*values).select_from(self._selection.table.clause)
        return rows.where(where, self._selection.clause)
