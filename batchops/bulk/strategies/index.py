"""The strategy index: follows an index on which the condition is selective, so it reads only rows that match."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from batchops.bulk.strategies.cursor import Range
from batchops.bulk.strategies.key import KeyStrategy
from batchops.db.types import KeyValue


class IndexStrategy(KeyStrategy):
    """Follows (indexed column, key), as KeysWalk does, but a window is so many matching rows."""

    name = "index"

    def _followed(self, range_: Range, columns: Sequence[sa.ColumnElement[Any]] = ()) -> sa.Select[Any]:
        return super()._followed(range_, columns).where(self._selection.clause)

    def _end(self, connection: sa.Connection, range_: Range, read: int) -> KeyValue | None:
        """Behind all rows of one value, where the index alone can tell: the rows themselves are then met once only.

        Not where so many rows share a value that the window would become much larger than it was meant to be.
        """
        if self._backend.indexes_hold_key:
            return super()._end(connection, range_, read)
        slack = read // 4 + 1
        ahead = self._values_along(range_).offset(read - 1).limit(slack + 1).cte("ahead")
        ends = [sa.select(ahead.c.k0).offset(n).limit(1).scalar_subquery() for n in (0, slack)]
        end, beyond = connection.execute(sa.select(*ends)).one()
        if end is None:
            return None
        last = (self._backend.key_value(end),)
        if range_.upto is not None and last == range_.upto[:1]:
            return None
        if end != beyond:
            return last
        # Bounded by the value that the end has: to find it, all that comes after would be sorted, for every window.
        return super()._end(connection, replace(range_, upto=last), read)

    def _values_along(self, range_: Range) -> sa.Select[Any]:
        """The indexed column of the range's rows, in order.

        Bounded by that column alone: PostgreSQL takes two row comparisons for so few rows that it would sort them all.
        """
        first = self._key[:1]
        bounds = [self._selection.clause, *self._filled]
        if range_.after is not None:
            behind = self._backend.after if len(range_.after) == 1 else self._backend.claims.since
            bounds.append(behind(self._table, first, range_.after[:1]))
        if range_.upto is not None:
            bounds.append(self._backend.upto(self._table, first, range_.upto[:1]))
        rows: sa.Select[Any] = self._table.alone(sa.select(self._out[0]).select_from(self._table.called))
        return rows.where(*bounds).order_by(self._order[0])
