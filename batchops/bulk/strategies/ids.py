"""The strategy ids, for --ids: takes the listed keys chunk by chunk, each key once."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.bulk.strategies.id_spool import IdList
from batchops.bulk.strategies.key import WORTH_SPLITTING, KeyStrategy
from batchops.bulk.strategies.strategy import Batch, Choice, Situation, StrategyKind, StrategyText, Target
from batchops.db.backend import Backend
from batchops.runtime.batch_size import Size
from batchops.sql.selection import Selection

_SHOWN = 20
"""How many ids the statement has that a plan shows."""


class IdsStrategy(KeyStrategy):
    """Follows the list of keys. It lists and locks the rows of each batch, and passes over those that do not match."""

    name = "ids"

    def __init__(self, backend: Backend, selection: Selection, key: Sequence[str], listed: IdList) -> None:
        super().__init__(backend, selection, key)
        self._ids = listed

    def begin(self, connection: sa.Connection) -> Cursor:  # noqa: ARG002  the list alone says
        """Return one range over the whole list."""
        return Cursor((Range(None, None),)) if self._ids.rows else Cursor(())

    def next(self, connection: sa.Connection, cursor: Cursor, size: Size) -> Batch | None:
        """Return the rows of the next keys of the list."""
        if cursor.over:
            return None
        range_ = cursor.ranges[0]
        if range_.keys:
            return self._revisit(connection, cursor, size)
        aim = min(size.rows, self._backend.keys.longest_list)
        chunk = self._ids.next(range_.after, range_.upto, aim)
        behind = cursor.finished_range() if len(chunk) < aim else cursor.moved(chunk[-1])
        if not chunk:
            return self._batch(None, behind, 0, 0)
        select = self._matching(self._backend.keys.among(self._table, self._key, chunk))
        keys = self._lock(connection, select, size)
        if size.skip_locked:
            behind = self._revisit_later(behind, range_, self._left(self._values(connection, select), keys), 1)
        return self._listed_batch(keys, behind, len(chunk))

    def from_end(self, connection: sa.Connection, cursor: Cursor, size: Size) -> Batch | None:
        """Return the rows of the last keys of the list; the inherited one takes rows that are not listed."""
        range_ = cursor.ranges[0]
        if range_.keys or size.listed:
            return None
        aim = min(size.rows, self._backend.keys.longest_list)
        last = self._ids.last(range_.after, range_.upto, aim + 1)
        chunk, before = last[-aim:], last[0] if len(last) > aim else None
        if not chunk:
            return self._batch(None, cursor.finished_range(), 0, 0)
        keys = self._lock(connection, self._matching(self._backend.keys.among(self._table, self._key, chunk)), size)
        return self._listed_batch(keys, cursor.before(before), len(chunk))

    def split(self, connection: sa.Connection, range_: Range) -> tuple[Range, Range] | None:  # noqa: ARG002
        """Split the range in the middle of the list."""
        middle = None if range_.keys else self._ids.middle(range_.after, range_.upto, WORTH_SPLITTING)
        if middle is None or middle == range_.upto:
            return None
        return replace(range_, upto=middle), replace(range_, after=middle)

    def window(self, cursor: Cursor) -> sa.Select[Any] | None:  # noqa: ARG002
        """Return None: the list alone says where a batch ends."""
        return None

    def last(self, connection: sa.Connection, range_: Range) -> Range | None:  # noqa: ARG002
        """Return None: the statement for the end is like any other."""
        return None

    def ahead(self, cursor: Cursor) -> list[sa.Select[Any]]:
        """Return a query for each chunk of the list, and for keys to be visited again."""
        again = tuple(range_ for range_ in cursor.ranges if range_.keys)
        rows = super().ahead(replace(cursor, ranges=again))
        for range_ in cursor.ranges:
            after = range_.after
            while not range_.keys and (chunk := self._ids.next(after, range_.upto, self._backend.keys.longest_list)):
                rows.append(self._matching(self._backend.keys.among(self._table, self._key, chunk)).order_by(None))
                after = chunk[-1]
        return rows

    def first(self, connection: sa.Connection, cursor: Cursor) -> Batch | None:  # noqa: ARG002
        """Return the batch with which `next` would begin. An empty list has a statement too, which changes no row."""
        keys = cursor.ranges[0].keys if cursor.ranges else ()
        if cursor.ranges and not keys:
            range_ = cursor.ranges[0]
            keys = tuple(self._ids.next(range_.after, range_.upto, _SHOWN))
        return self._batch(self._among(keys) if keys else sa.false(), cursor, 0)


def _choose(situation: Situation) -> Choice:
    assert situation.key is not None  # else the ids could not be looked up
    return Choice(IdsStrategy.name, situation.key.columns, "as they are listed")


def _build(target: Target) -> IdsStrategy:
    # The list is part of what the job is: with it any other strategy would change rows that are not listed.
    assert target.ids is not None
    return IdsStrategy(target.backend, target.selection, target.key, target.ids)


STRATEGY = StrategyKind(
    IdsStrategy.name,
    StrategyText(
        follows="the keys that the file lists",
        chosen="only for --ids",
        verbs="purge, backfill",
        databases="all",
        refusal="it has no primary key or unique index without NULLs that ids could refer to",
    ),
    _choose,
    _build,
    once=True,
    takes_ids=True,
    reads_matches=True,
    names_rows=True,
)
