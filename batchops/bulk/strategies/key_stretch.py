"""Finds the stretch of a key that can match, if the condition bounds the key: a tenant's rows, a span of ids."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from batchops.bulk.strategies.cursor import Range
from batchops.db.backend import Backend
from batchops.db.types import KeyValue
from batchops.sql.selection import Selection


class KeyStretch:
    """The rows that a run along `key` has to visit: all, or those from the first matching one to the last."""

    def __init__(
        self, backend: Backend, selection: Selection, key: Sequence[str], filled: Sequence[sa.ColumnElement[bool]] = ()
    ) -> None:
        """`filled`: conditions that hold for the rows that the key identifies, if it may hold NULLs."""
        self._backend, self._selection, self._key = backend, selection, tuple(key)
        self._table, self._filled = selection.table, filled
        self._order = [backend.keys.order(self._table, name) for name in self._key]
        self._downwards = [column.desc() for column in self._order]

    def range(self, connection: sa.Connection) -> Range | None:
        """Return where the stretch begins and ends now; None if there is nothing to visit."""
        if not self._bounded(connection):
            last = self._first(connection, self._rows().order_by(*self._downwards))
            return None if last is None else Range(None, last)
        last = self._first(connection, self._matching().order_by(*self._downwards))
        first = self._first(connection, self._matching().order_by(*self._order))
        if first is None or last is None:
            return None
        upto = self._rows(self._backend.keys.upto(self._table, self._key, first))
        return Range(self._first(connection, upto.order_by(*self._downwards).offset(1)), last)

    def rows(self, connection: sa.Connection) -> int | None:
        """Return about how many rows of the table lie in the stretch, whether they match or not; None if unknown."""
        if not self._bounded(connection):
            return self._table.rows
        found = self.range(connection)
        if found is None:
            return 0
        keys, table = self._backend.keys, self._table
        bounds = [] if found.after is None else [keys.after(table, self._key, found.after)]
        bounds += [] if found.upto is None else [keys.upto(table, self._key, found.upto)]
        work = self._backend.planner.work(connection, table, (table,), self._rows(*bounds))
        return table.rows if work is None else work.rows

    def _bounded(self, connection: sa.Connection) -> bool:
        """Whether the server finds all matching rows by the key's index: then it finds both ends at once."""
        if self._selection.condition is None:
            return False
        return self._backend.planner.finds_by_key(connection, self._table, self._key, self._matching())

    def _matching(self) -> sa.Select[Any]:
        return self._rows(self._selection.unshielded)

    def _rows(self, *where: sa.ColumnElement[bool] | sa.TextClause) -> sa.Select[Any]:
        columns = [self._backend.keys.out(self._table, name).label(f"k{i}") for i, name in enumerate(self._key)]
        rows: sa.Select[Any] = self._table.alone(sa.select(*columns).select_from(self._table.called))
        return rows.where(*where, *self._filled)

    def _first(self, connection: sa.Connection, rows: sa.Select[Any]) -> KeyValue | None:
        row = connection.execute(rows.limit(1)).first()
        return None if row is None else tuple(row)
