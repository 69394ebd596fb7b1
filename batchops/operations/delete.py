"""DELETE as an operation."""

import sqlalchemy as sa

from batchops.selection import Selection


class Delete:
    """Deletes the part's rows that still match."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection

    def statement(self, where: sa.ColumnElement[bool]) -> sa.Delete:
        """The writing statement; the predicate stands in it again, as a row may have changed since it was read."""
        return sa.delete(self._selection.table.clause).where(where, self._selection.clause)
