"""The strategy limit, for no key: takes the first rows that match, again and again, until a batch is short."""

from typing import Any

import sqlalchemy as sa

from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.bulk.strategies.strategy import AUTO, Batch, Choice, Situation, StrategyKind, StrategyText
from batchops.db.backend import Backend
from batchops.runtime.batch_size import Size
from batchops.sql.selection import Selection


class LimitStrategy:
    """Keeps no place in the table, so that it reads over what its earlier batches left behind; for purges only."""

    name = "limit"

    def __init__(self, backend: Backend, selection: Selection) -> None:
        self._backend = backend
        self._selection = selection

    def begin(self, connection: sa.Connection) -> Cursor:  # noqa: ARG002  the strategies' common shape
        """Return one range, open at both ends."""
        return Cursor((Range(None, None),))

    def ready(self, cursor: Cursor) -> float:  # noqa: ARG002  the strategies' common shape
        """Return 0: this strategy reads nothing ahead."""
        return 0.0

    def next(self, connection: sa.Connection, cursor: Cursor, size: Size) -> Batch | None:
        """Return rows listed by the hidden row number if there is one; else a batch whose statement is limited."""
        if cursor.over:
            return None
        row_id = self._backend.keys.row_id(self._selection.table)
        if row_id is None:
            return Batch(self._selection, sa.true(), cursor, size.rows, limit=size.rows)
        aim = min(size.rows, self._backend.keys.longest_list)
        select = self._ids(row_id, aim)
        locks = self._backend.sessions.locks_rows and self._selection.table.lockable
        locking = select.with_for_update(skip_locked=size.skip_locked) if locks else select
        ids = [(row[0],) for row in connection.execute(locking)]
        short = len(ids) < aim
        locked = len(connection.execute(select).all()) - len(ids) if short and size.skip_locked else 0
        where = self._backend.keys.among(self._selection.table, (row_id,), ids) if ids else None
        behind = cursor.finished_range() if short else cursor
        return Batch(self._selection, where, behind, len(ids), len(ids), max(0, locked))

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
        table = self._selection.table
        rows: sa.Select[Any] = table.alone(sa.select(sa.literal_column("1")).select_from(table.called))
        return [] if cursor.over else [rows.where(self._selection.clause)]

    def first(self, connection: sa.Connection, cursor: Cursor) -> Batch | None:  # noqa: ARG002
        """Return one batch of all rows that match, for the plan."""
        return None if cursor.over else Batch(self._selection, sa.true(), cursor, 0)

    def _ids(self, row_id: str, aim: int) -> sa.Select[Any]:
        table = self._selection.table
        ids: sa.Select[Any] = table.alone(sa.select(self._backend.keys.out(table, row_id)).select_from(table.called))
        return ids.where(self._selection.clause).limit(aim)


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
