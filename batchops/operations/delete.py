"""DELETE as an operation."""

from typing import Any

import sqlalchemy as sa

from batchops.selection import Selection


class Delete:
    """Deletes the part's rows that still match."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection

    def statement(self, where: sa.ColumnElement[bool]) -> sa.Delete:
        """The predicate stands in it again, as a row may have changed since it was read."""
        return sa.delete(self._selection.table.clause).where(where, self._selection.clause)

    def rehearsal(self, where: sa.ColumnElement[bool]) -> sa.Select[Any]:
        """The rows to delete."""
        rows: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(self._selection.table.clause)
        return rows.where(where, self._selection.clause)
