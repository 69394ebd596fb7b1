"""Batches of rows that are in a segment already: found again by their keys, and deleted if nobody has changed them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from batchops.bulk.archiving.copied_rows import CopiedRow, Part
from batchops.bulk.archiving.copying import Copies, InHand, proof_of
from batchops.bulk.archiving.uploads import Uploads
from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.bulk.strategies.strategy import VISITS, Batch, Strategy
from batchops.db.backend import Backend
from batchops.db.types import KeyValue
from batchops.runtime.batch_size import Size
from batchops.sql.selection import Selection

_PLACES = 40
"""Bits of a range's token for a row of the segment in hand; above them is the segment's number."""


@dataclass(frozen=True, kw_only=True)
class UploadedSelection(Selection):
    """Rows that the same transaction has locked, and found as they are in the segment."""

    segment: InHand
    part: Part
    held: frozenset[KeyValue]
    """The keys of these rows."""
    last: bool
    """Whether no row of the segment follows."""

    @property
    def clause(self) -> sa.ColumnElement[bool]:
        """Always true: the condition held when the rows were copied, and the proof shows that they have not changed."""
        return sa.true()


class UploadedRows:
    """Copies the rows that another strategy finds, before any transaction, and returns them batch by batch.

    A range's token tells how far its segment is decided. Another process does not know that segment: it copies the
    rest of the range anew.
    """

    def __init__(
        self, inner: Strategy, copies: Copies, uploads: Uploads, backend: Backend, key: Sequence[str], *, stay: bool
    ) -> None:  # fmt: skip
        """`stay`: whether rows are only copied, so that none has to be found again."""
        self._stay = stay
        self._inner, self._copies, self._uploads = inner, copies, uploads
        self._backend, self._key = backend, tuple(key)
        self.name = inner.name
        self._in_hand: dict[Range, InHand] = {}
        self.begin, self.window, self.last, self.middle = inner.begin, inner.window, inner.last, inner.middle
        self.another_pass, self.ahead = inner.another_pass, inner.ahead

    def ready(self, cursor: Cursor) -> float:
        """Settle decided segments; copy and upload the next rows, unless they are in hand. Return the seconds spent."""
        begun = time.perf_counter()
        self._uploads.settle_decided()
        if cursor.over:
            return 0.0
        range_ = _bare(cursor.ranges[0])
        if range_ not in self._in_hand:
            copied = self._copies.copy(self._inner, replace(cursor, ranges=(range_, *cursor.ranges[1:])))
            self._in_hand[range_] = copied
        self._uploads.send(self._in_hand[range_])
        return time.perf_counter() - begun

    def next(self, connection: sa.Connection, cursor: Cursor, size: Size) -> Batch | None:
        """Return the next rows of the segment that are unchanged in the table."""
        if cursor.over:
            return None
        range_ = cursor.ranges[0]
        one = self._in_hand.get(_bare(range_))
        if one is None:  # called only if copying has failed, to find the row that is the cause
            return self._inner.next(connection, cursor, replace(size, unlocked=True))
        start = _start(range_, one)
        part = one.rows.part(start, min(size.rows, self._backend.keys.longest_list))
        stop = start + len(part.rows)
        last = stop >= len(one.rows)
        behind = _behind(cursor, one) if last else _at(cursor, one, stop)
        same, locked, changed = self._looked_up(connection, one, part.rows, size)
        again = (*locked, *changed)
        given_up = range_.visits >= VISITS
        if again and not given_up:
            later = Range(None, None, tuple(again), visits=range_.visits + 1, leaf=range_.leaf)
            behind = behind.revisit_later(later)
        selection = UploadedSelection(one.source, None, segment=one, part=part, held=frozenset(same), last=last)
        where = self._backend.keys.among(one.source, self._key, same) if same else None
        read = len(part.rows) + (max(0, one.read - len(one.rows)) if last else 0)
        left = (*(changed if given_up else ()), *(one.changed if last else ()))
        return Batch(
            selection, where, behind, read, len(same), locked=len(locked) if given_up else 0,
            locked_keys=tuple(locked) if given_up else (), changed_keys=left, key=self._key, keys=tuple(same),
            held=True, by_keys=True,
        )  # fmt: skip

    def forget(self, one: InHand) -> None:
        """Forget the segment, as all its rows are decided."""
        for range_ in [range_ for range_, other in [*self._in_hand.items()] if other is one]:
            self._in_hand.pop(range_, None)

    def split(self, connection: sa.Connection, range_: Range) -> tuple[Range, Range] | None:
        """Split the range behind the copied rows: each of those belongs to one segment."""
        one = self._in_hand.get(_bare(range_))
        if one is None:
            return self._inner.split(connection, _bare(range_))
        if one.end is None or one.end.keys:
            return None
        halves = self._inner.split(connection, replace(one.end, upto=range_.upto))
        if halves is None:
            return None
        kept = replace(range_, upto=halves[0].upto)
        self._in_hand[_bare(kept)] = one
        return kept, halves[1]

    def relocated(self, connection: sa.Connection, cursor: Cursor) -> None:
        """Return None: a key names the same row wherever the row lies."""

    def first(self, connection: sa.Connection, cursor: Cursor) -> Batch | None:
        """Return the first batch of the strategy that finds the rows."""
        return self._inner.first(connection, cursor)

    def _looked_up(
        self, connection: sa.Connection, one: InHand, rows: Sequence[CopiedRow], size: Size
    ) -> tuple[list[KeyValue], list[KeyValue], list[KeyValue]]:  # fmt: skip
        """Return the keys of rows that are as they were copied, and locked now; that others hold; that others changed.

        Rows that are gone are in none of these; what the segment has of them does not count.
        """
        if not rows or self._stay:
            return [row.key for row in rows], [], []
        now = self._proofs(connection, one, [row.key for row in rows], size, lock=True)
        same = [row.key for row in rows if row.key in now and now[row.key] == row.proof]
        changed = [row.key for row in rows if row.key in now and now[row.key] != row.proof]
        missing = [row.key for row in rows if row.key not in now] if size.skip_locked else []
        there = self._proofs(connection, one, missing, size, lock=False) if missing else {}
        return same, [key for key in missing if key in there], changed

    def _proofs(
        self, connection: sa.Connection, one: InHand, keys: Sequence[KeyValue], size: Size, *, lock: bool
    ) -> dict[KeyValue, bytes | str]:  # fmt: skip
        backend, table = self._backend, one.source
        own = [backend.keys.out(table, name).label(f"batchops_k{i}") for i, name in enumerate(self._key)]
        proof = backend.row_lists.proof(table).label("batchops_proof")
        rows: sa.Select[Any] = table.alone(sa.select(*own, proof).select_from(table.called))
        rows = rows.where(backend.keys.among(table, self._key, keys))
        if lock and backend.sessions.locks_rows:
            rows = rows.with_for_update(skip_locked=size.skip_locked)
        return {tuple(row[:-1]): proof_of(row[-1]) for row in connection.execute(rows)}


def _bare(range_: Range) -> Range:
    return replace(range_, token=None)


def _start(range_: Range, one: InHand) -> int:
    """Return how many rows of the segment are decided."""
    token = range_.token or 0
    return token & ((1 << _PLACES) - 1) if token >> _PLACES == one.number else 0


def _at(cursor: Cursor, one: InHand, row: int) -> Cursor:
    first, *rest = cursor.ranges
    return replace(cursor, ranges=(replace(first, token=one.number << _PLACES | row), *rest))


def _behind(cursor: Cursor, one: InHand) -> Cursor:
    """Return the cursor behind the whole segment."""
    first, *rest = cursor.ranges
    if one.end is None or (not one.end.keys and one.end.after == first.upto):
        return cursor.finished_range()
    return replace(cursor, ranges=(replace(first, after=one.end.after, keys=one.end.keys, token=None), *rest))
