"""The strategy index: follows an index on which the condition is selective, so it reads only rows that match."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.bulk.strategies.key import KeyStrategy
from batchops.bulk.strategies.strategy import Choice, Situation, StrategyKind, StrategyText
from batchops.db.planner import IndexUse
from batchops.db.table import Key, Table, quoted
from batchops.db.types import KeyValue

SELECTIVE = 0.1
"""Share of matching rows below which an index on the condition beats reading the table in order."""
MOST_TIES = 60_000
"""Rows with one indexed value that a batch may have to sort."""


class IndexStrategy(KeyStrategy):
    """Follows (indexed column, key), as KeyStrategy does, but a window is so many matching rows."""

    name = "index"
    by_key = False

    def middle(self, connection: sa.Connection, range_: Range) -> Range | None:  # noqa: ARG002
        """None: it is only found by reading up to it."""
        return None

    def window(self, cursor: Cursor) -> sa.Select[Any] | None:  # noqa: ARG002
        """None: it reads what matches, not what lies before some key."""
        return None

    def _followed(self, range_: Range, columns: Sequence[sa.ColumnElement[Any]] = ()) -> sa.Select[Any]:
        return super()._followed(range_, columns).where(self._selection.clause)

    def _end(self, connection: sa.Connection, range_: Range, read: int) -> KeyValue | None:
        """Behind all rows of one value, where the index alone can tell: the rows themselves are then met once only.

        Not where so many rows share a value that the window would become much larger than it was meant to be.
        """
        if self._backend.planner.indexes_hold_key:
            return super()._end(connection, range_, read)
        slack = read // 4 + 1
        ahead = self._values_along(range_).offset(read - 1).limit(slack + 1).cte("ahead")
        ends = [sa.select(ahead.c.k0).offset(n).limit(1).scalar_subquery() for n in (0, slack)]
        end, beyond = connection.execute(sa.select(*ends)).one()
        if end is None:
            return None
        last = (self._backend.keys.value(end),)
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
            behind = self._backend.keys.after if len(range_.after) == 1 else self._backend.claims.since
            bounds.append(behind(self._table, first, range_.after[:1]))
        if range_.upto is not None:
            bounds.append(self._backend.keys.upto(self._table, first, range_.upto[:1]))
        rows: sa.Select[Any] = self._table.alone(sa.select(self._out[0]).select_from(self._table.called))
        return rows.where(*bounds).order_by(self._order[0])


def _choose(situation: Situation) -> Choice | None:
    if situation.leaves is not None:
        return None
    table, key = situation.table, situation.key
    use = situation.backend.planner.index_for(situation.connection, table, situation.matching)
    if use is None or key is None or not _worth_it(use, table, key):
        return None
    first = use.columns[0]
    if situation.backend.keys.refusal(table.column(first)) or _holds_null(situation, first):
        return None
    share = f"about {use.rows:,} rows" if table.rows is None else f"about {use.rows:,} of {table.rows:,} rows"
    return Choice(IndexStrategy.name, _columns(first, key.columns), f"index {use.name} finds {share}")


def _columns(first: str, key: Sequence[str]) -> tuple[str, ...]:
    return (first, *(name for name in key if name != first))


def _worth_it(use: IndexUse, table: Table, key: Key) -> bool:
    ordered = use.columns[1 : 1 + len(key.columns)] == key.columns or use.columns[: len(key.columns)] == key.columns
    if not ordered and min(use.ties, use.rows) > MOST_TIES:
        return False
    return table.rows is None or use.rows <= SELECTIVE * table.rows


def _holds_null(situation: Situation, column: str) -> bool:
    """Rows without a value there have no place in the index's order."""
    if not situation.table.column(column).nullable:
        return False
    without = situation.matching.where(situation.table.called.c[quoted(column)].is_(None)).limit(1)
    return situation.connection.execute(without).first() is not None


STRATEGY = StrategyKind(
    IndexStrategy.name,
    StrategyText(
        follows="an indexed column of the condition, then the key",
        chosen="if one index selects at most a tenth of the rows",
        verbs="purge",
        databases="all",
        refusal="the server would not find the rows by one selective index on a column without NULLs",
    ),
    _choose,
    lambda target: IndexStrategy(target.backend, target.selection, target.key),
    reads_matches=True,
    follows=lambda followed, key: followed in (key, _columns(followed[0], key)),
)
