"""UPDATE as an operation."""

from collections.abc import Sequence

import sqlalchemy as sa

from batchops.db.table import quoted
from batchops.selection import Selection, user_sql


class Update:
    """Sets columns of the part's rows that still match, in the order given (MySQL evaluates left to right)."""

    def __init__(self, selection: Selection, assignments: Sequence[tuple[str, str]]) -> None:
        self._selection = selection
        self._assignments = assignments

    def statement(self, where: sa.ColumnElement[bool]) -> sa.Update:
        """The writing statement; the predicate stands in it again, as a row may have changed since it was read."""
        columns = self._selection.table.clause.c
        values = [(columns[quoted(name)], user_sql(f"({expression})")) for name, expression in self._assignments]
        return (
            sa.update(self._selection.table.clause)
            .where(where, self._selection.clause)
            .ordered_values(*values)
        )
