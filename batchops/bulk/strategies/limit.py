"""The strategy limit, for no key: takes the first rows that match, again and again, until a batch is short."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.bulk.strategies.strategy import AUTO, Batch, Choice, Situation, StrategyKind, StrategyText
from batchops.db.backend import Backend
from batchops.db.types import KeyValue
from batchops.runtime.batch_size import Size
from batchops.sql.selection import Selection


class LimitStrategy:
    """Keeps no place in the table, so that it reads over what its earlier batches left behind; for purges only."""

    name = "limit"

    def __init__(self, backend: Backend, selection: Selection) -> None:
        self._backend = backend
        self._selection = selection
        self._table = selection.table
        row_id = backend.keys.row_id(self._table)
        self._row_id = () if row_id is None else (row_id,)
        self._names = self._table.keys[0].columns if self._table.keys else self._row_id
        """The columns that identify a refused row in later batches; empty if nothing does."""

    def begin(self, connection: sa.Connection) -> Cursor:  # noqa: ARG002  the strategies' common shape
        """Return one range, open at both ends."""
        return Cursor((Range(None, None),))

    def ready(self, cursor: Cursor) -> float:  # noqa: ARG002  the strategies' common shape
        """Return 0: this strategy reads nothing ahead."""
        return 0.0

    def next(self, connection: sa.Connection, cursor: Cursor, size: Size) -> Batch | None:
        """Return rows listed by the hidden row number if there is one; else a batch whose statement is limited.

        Once a row was refused, rows are listed by their key if there is one, and those that wait for another try are
        left out.
        """
        if cursor.over:
            return None
        if cursor.ranges[0].keys:
            return self._revisit(connection, cursor, size)
        waiting = tuple(key for range_ in cursor.ranges[1:] for key in range_.keys)
        names = self._names if size.exact or waiting else self._row_id
        where = self._without(waiting)
        if not names or (self._backend.keys.limits_deletes and not size.exact):
            return Batch(self._selection, where, cursor, size.rows, limit=size.rows, keeps_no_place=True)
        aim = min(size.rows, self._backend.keys.longest_list)
        select = self._listed(names).where(where).limit(aim)
        keys = self._lock(connection, select, skip_locked=size.skip_locked)
        short = len(keys) < aim
        locked = len(connection.execute(select).all()) - len(keys) if short and size.skip_locked else 0
        behind = cursor.finished_range() if short else cursor
        batch = self._batch_of(names, keys, behind, len(keys), max(0, locked))
        return replace(batch, keeps_no_place=True)

    def _revisit(self, connection: sa.Connection, cursor: Cursor, size: Size) -> Batch:
        """Return a batch of rows that were refused, the last ones first."""
        now, behind = cursor.to_revisit(min(size.rows, self._backend.keys.longest_list))
        again = self._listed(self._names).where(self._backend.keys.among(self._table, self._names, now))
        return self._batch_of(self._names, self._lock(connection, again), behind, len(now))

    def _without(self, waiting: Sequence[KeyValue]) -> sa.ColumnElement[bool]:
        """Return the condition that leaves these rows out."""
        keys, most = self._backend.keys, self._backend.keys.longest_list
        lists = [waiting[i : i + most] for i in range(0, len(waiting), most)]
        return sa.and_(sa.true(), *(sa.not_(keys.among(self._table, self._names, some)) for some in lists))

    def _lock(
        self, connection: sa.Connection, select: sa.Select[Any], *, skip_locked: bool = False
    ) -> list[KeyValue]:  # fmt: skip
        if self._backend.sessions.locks_rows and self._table.lockable:
            select = select.with_for_update(skip_locked=skip_locked)
        return [tuple(row) for row in connection.execute(select)]

    def _batch_of(
        self, names: tuple[str, ...], keys: Sequence[KeyValue], behind: Cursor, read: int, locked: int = 0
    ) -> Batch:
        where = self._backend.keys.among(self._table, names, keys) if keys else None
        batch = Batch(self._selection, where, behind, read, len(keys), locked)
        return replace(batch, key=names, keys=tuple(keys)) if names == self._names else batch

    def split(self, connection: sa.Connection, range_: Range) -> tuple[Range, Range] | None:  # noqa: ARG002
        """Return None: two workers would take the same rows."""
        return None

    def middle(self, connection: sa.Connection, range_: Range) -> Range | None:  # noqa: ARG002
        """Return None: every batch begins at the start."""
        return None

    def window(self, cursor: Cursor) -> sa.Select[Any] | None:  # noqa: ARG002
        """Return None: a batch has no end but its number of rows."""
        return None

    def last(self, connection: sa.Connection, range_: Range) -> Range | None:  # noqa: ARG002
        """Return None: every batch begins at the start."""
        return None

    def another_pass(self, connection: sa.Connection, cursor: Cursor, rows: int) -> Cursor | None:  # noqa: ARG002
        """Return None: the pass itself ends only when nothing is found."""
        return None

    def relocated(self, connection: sa.Connection, cursor: Cursor) -> Cursor | None:  # noqa: ARG002
        """Return None: this strategy keeps no place that it could lose."""
        return None

    def ahead(self, cursor: Cursor) -> list[sa.Select[Any]]:
        """Return one query for all rows that match."""
        rows: sa.Select[Any] = self._table.alone(sa.select(sa.literal_column("1")).select_from(self._table.called))
        return [] if cursor.over else [rows.where(self._selection.clause)]

    def first(self, connection: sa.Connection, cursor: Cursor) -> Batch | None:  # noqa: ARG002
        """Return one batch of all rows that match, for the plan."""
        return None if cursor.over else Batch(self._selection, sa.true(), cursor, 0)

    def _listed(self, names: tuple[str, ...]) -> sa.Select[Any]:
        columns = [self._backend.keys.out(self._table, name) for name in names]
        rows: sa.Select[Any] = self._table.alone(sa.select(*columns).select_from(self._table.called))
        return rows.where(self._selection.clause)


def _choose(situation: Situation) -> Choice | None:
    keys = situation.backend.keys
    finds = keys.limits_deletes or keys.row_id(situation.selection.table) is not None
    if situation.named or situation.leaves is not None or not finds:
        return None
    why = "no key identifies a row" if situation.wanted == AUTO else "asked for"
    return Choice(LimitStrategy.name, (), f"{why}; each batch reads again what earlier batches left behind")


STRATEGY = StrategyKind(
    LimitStrategy.name,
    StrategyText(
        follows="none: each batch takes the first rows that match",
        chosen="for a table without a key, with --allow no-key; or with --strategy limit",
        verbs="purge",
        databases="all",
        refusal="its rows have no number that a batch could name them by",
    ),
    _choose,
    lambda target: LimitStrategy(target.backend, target.selection),
    reads_matches=True,
    starts_over=True,
    found_by="any plan that finds the rows of the condition",
    faster="add a key, or CREATE INDEX ON {table} (…) for the condition",
)
