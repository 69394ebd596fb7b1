"""The strategy list: changes the rows that one statement has listed at the start, if they are still unchanged."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.bulk.strategies.key import KeyStrategy
from batchops.bulk.strategies.own_changes import OwnChanges, OwnReference
from batchops.bulk.strategies.row_list import ListedRows, ProvenRows, joined_rows
from batchops.bulk.strategies.strategy import AUTO, VISITS, Batch, Choice, Situation, StrategyKind, StrategyText, Target
from batchops.db.backend import Backend
from batchops.db.table import Table
from batchops.db.types import KeyValue
from batchops.runtime.batch_size import Size
from batchops.sql.selection import Selection

NAME = "list"


class _ListKeys(KeyStrategy):
    """Follows the keys of the list itself."""

    def stretch(self, connection: sa.Connection, range_: Range, rows: int) -> tuple[KeyValue | None, int]:
        """Return the key that ends the first `rows` rows of the range, or None if these are all; and their number."""
        end = self._end(connection, range_, rows)
        return end, rows if end is not None else self._read(connection, range_.after, range_.upto)

    def within(self, after: KeyValue | None, upto: KeyValue | None) -> sa.ColumnElement[bool]:
        """Return the condition for rows behind one key, up to and including another."""
        return self._within(after, upto)

    def keys_within(self, within: sa.ColumnElement[bool]) -> sa.Select[Any]:
        """Return a SELECT of the keys of these rows."""
        return sa.select(*self._order).where(within)

    def first_keys(self, connection: sa.Connection, range_: Range, rows: int) -> tuple[KeyValue, ...]:
        """Return the first `rows` keys of the range."""
        return tuple(self._values(connection, self._followed(range_).order_by(*self._order).limit(rows)))


class ListStrategy(KeyStrategy):
    """Follows the list by its key.

    One statement changes the rows of a stretch that it proves to be unchanged. If they have to be known one by one,
    because some are locked or refused, they are locked and proven first.
    """

    name = NAME

    def __init__(
        self, backend: Backend, selection: Selection, key: Sequence[str], listed: Table | None, values: int,
        sets_own: tuple[OwnReference, ...],
    ) -> None:  # fmt: skip
        """`listed` is the list; None if it is still to be made, and the strategy only serves the plan.

        `values`: how many columns the job sets. `sets_own`: foreign keys that change listed rows when others are
        deleted.
        """
        self._rows: ListedRows | None = None
        if listed is not None:
            self._rows = ListedRows(selection.table, selection.condition, backend=backend, listed=listed)
        super().__init__(backend, self._rows or selection, key)
        self._list = _ListKeys(backend, Selection(listed, None), key) if listed is not None else None
        self._own = OwnChanges(self._rows, self._key, sets_own) if self._rows is not None and sets_own else None
        self._follows = backend.row_lists.follows(values) and not sets_own
        """Whether one statement can change a stretch of the list, unless the batch needs more care."""
        self._alone = self._locks or backend.sessions.one_writer
        """Whether nobody else can change a row that a batch has looked at."""

    @property
    def listed_rows(self) -> ListedRows | None:
        """The listed rows that nobody has changed since; None before the list is made."""
        return self._rows

    def begin(self, connection: sa.Connection) -> Cursor:  # noqa: ARG002  the list alone says
        """Return one range over the whole list."""
        return Cursor((Range(None, None),))

    def next(self, connection: sa.Connection, cursor: Cursor, size: Size) -> Batch | None:
        """Return the next rows of the list."""
        if cursor.over:
            return None
        range_ = cursor.ranges[0]
        if not range_.keys and not size.exact and not size.skip_locked and self._follows:
            return self._stretch(connection, cursor, size)
        if range_.keys:
            listed, behind = cursor.to_revisit(min(size.rows, self._backend.keys.longest_list))
        else:
            listed, behind = self._to_visit(connection, cursor, size)
        if not listed:
            return self._batch(None, behind, 0, 0)
        keys = self._lock(connection, self._matching(self._backend.keys.among(self._table, self._key, listed)), size)
        locked, changed = self._left_alone(connection, self._left(listed, keys))
        given_up = locked if range_.visits >= VISITS else ()
        if locked and not given_up:
            behind = self._revisit_later(behind, range_, locked, range_.visits + 1)
        batch = self._listed_batch(keys, behind, len(listed), len(given_up))
        if self._alone and self._rows is not None:
            rows = self._rows
            proven = ProvenRows(rows.table, rows.condition, backend=rows.backend, listed=rows.listed)
            batch = replace(batch, selection=proven, then=self._proved_anew(connection, keys, size))
        return replace(batch, locked_keys=given_up, changed_keys=changed)

    def _proved_anew(self, connection: sa.Connection, keys: Sequence[KeyValue], size: Size) -> tuple[sa.Update, ...]:
        """Return statements that renew the proofs of rows that change when these are deleted.

        Those rows are first locked and found unchanged.
        """
        if self._own is None or not keys:
            return ()
        return self._own.proved_anew(self._left(self._lock(connection, self._own.referring(keys), size), keys))

    def _stretch(self, connection: sa.Connection, cursor: Cursor, size: Size) -> Batch:
        """Return the next rows of the list as one range of it."""
        assert self._list is not None  # a run makes it before its first batch
        assert self._rows is not None
        range_ = cursor.ranges[0]
        end, rows = self._list.stretch(connection, range_, size.rows)
        behind = self._behind(cursor, end)
        if not rows:
            return self._batch(None, behind, 0, 0)
        within = self._list.within(range_.after, end or range_.upto)
        if self._backend.row_lists.joins:
            joined = joined_rows(self._rows, within)
            where = joined.same_row
            if self._backend.row_lists.merges:
                where = sa.and_(where, self._within(range_.after, end or range_.upto))
            return Batch(joined, where, behind, rows, rows, key=self._key)
        listed = self._list.keys_within(within)
        among = self._order[0].in_(listed) if len(self._order) == 1 else sa.tuple_(*self._order).in_(listed)
        return Batch(self._rows, among, behind, rows, rows, key=self._key)

    def split(self, connection: sa.Connection, range_: Range) -> tuple[Range, Range] | None:
        """Split the range in the middle of the list."""
        return self._list.split(connection, range_) if self._list else None

    def middle(self, connection: sa.Connection, range_: Range) -> Range | None:  # noqa: ARG002
        """Return None: the statement for the middle is like any other."""
        return None

    def window(self, cursor: Cursor) -> sa.Select[Any] | None:  # noqa: ARG002
        """Return None: the list alone says where a batch ends."""
        return None

    def last(self, connection: sa.Connection, range_: Range) -> Range | None:  # noqa: ARG002
        """Return None: the statement for the end is like any other."""
        return None

    def ahead(self, cursor: Cursor) -> list[sa.Select[Any]]:
        """Return queries for the rest of the list, and for the rows to be visited again."""
        if self._list is None:
            return super().ahead(cursor)
        ranges = [range_ for range_ in cursor.ranges if not range_.keys]
        again = [range_ for range_ in cursor.ranges if range_.keys]
        return [
            *self._list.ahead(replace(cursor, ranges=tuple(ranges))),
            *super().ahead(replace(cursor, ranges=tuple(again))),
        ]

    def first(self, connection: sa.Connection, cursor: Cursor) -> Batch | None:
        """Return the batch with which `next` would begin; None if the list is still to be made."""
        if cursor.over or self._list is None:
            return None
        keys = cursor.ranges[0].keys or self._to_visit(connection, cursor, Size(SHOWN, SHOWN))[0]
        return self._batch(self._among(keys[:SHOWN]) if keys else sa.false(), cursor, 0)

    def _to_visit(self, connection: sa.Connection, cursor: Cursor, size: Size) -> tuple[tuple[KeyValue, ...], Cursor]:
        """Return the next keys of the list, and the cursor behind them."""
        assert self._list is not None  # a run makes it before its first batch
        aim = min(size.rows, self._backend.keys.longest_list)
        listed = self._list.first_keys(connection, cursor.ranges[0], aim)
        return listed, cursor.finished_range() if len(listed) < aim else cursor.moved(listed[-1])

    def _left_alone(
        self, connection: sa.Connection, keys: Sequence[KeyValue]
    ) -> tuple[tuple[KeyValue, ...], tuple[KeyValue, ...]]:
        """Return, of rows that were not locked, those that others hold and those that have changed; others are gone."""
        if not keys:
            return (), ()
        rows: sa.Select[Any] = self._table.alone(sa.select(*self._out, self._selection.clause.label("proven")))
        rows = rows.select_from(self._table.called).where(self._backend.keys.among(self._table, self._key, keys))
        found = [(tuple(row[:-1]), bool(row[-1])) for row in connection.execute(rows)]
        return tuple(key for key, same in found if same), tuple(key for key, same in found if not same)


SHOWN = 20
"""How many keys the statement has that a plan shows."""


LISTED = 10.0
"""The cost to list a row and to find it unchanged later, in rows that are read in the table's order."""


def _choose(situation: Situation) -> Choice | None:
    key, asked = situation.key, situation.wanted != AUTO
    if key is None or not situation.keeps_lists or not (asked or situation.unstable or situation.costly):
        return None
    if situation.unstable or asked or situation.work is None:
        why = "the condition or a value reads what the job changes" if situation.unstable else "asked for"
        return Choice(NAME, key.columns, why)
    cost = situation.work.read + LISTED * situation.work.rows
    return Choice(NAME, key.columns, "other tables are read once, and not for each batch", cost=cost)


def _build(target: Target) -> ListStrategy:
    return ListStrategy(target.backend, target.selection, target.key, target.listed, target.values, target.sets_own)


STRATEGY = StrategyKind(
    NAME,
    StrategyText(
        follows="the rows that matched at the start, listed in a table beside the ledger",
        chosen="if the condition or a value reads what the job changes, or reads much of other tables",
        verbs="purge, backfill",
        databases="all",
        refusal="a list needs a key of the table, and the ledger in the database itself",
    ),
    _choose,
    _build,
    once=True,
    reads_matches=True,
    evaluates_once=True,
    names_rows=True,
)
