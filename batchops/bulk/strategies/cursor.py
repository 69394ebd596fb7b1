"""The cursor of a strategy: the ranges still to be processed, the first of them in progress."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from batchops.db.json_values import decode, encode
from batchops.db.types import KeyValue

UNMARKED, MARKED = 0, 1
"""How a purge with children began to delete a row's children: without a mark on the row, or after marking it."""


@dataclass(frozen=True)
class Range:
    """The keys behind `after`, up to and including `upto`; None leaves an end open. If `keys` is given, only those."""

    after: KeyValue | None
    upto: KeyValue | None
    keys: tuple[KeyValue, ...] = ()
    """The keys of rows to be visited again, as they were locked when the strategy met them."""
    visits: int = 0
    """How often the strategy has visited these rows before."""
    leaf: str | None = None
    """The identity of the partition; None: the table itself."""
    token: int | None = None
    """A number that only the strategy itself reads, such as the identity of the table's file."""
    refused_at: int | None = None
    """How many rows the worker had changed when `keys` were refused; -1: any number. They are tried again as long as
    other rows are changed meanwhile."""
    begun: int | None = None
    """In a purge with children: some children of the rows with `keys` are deleted already, and these rows must follow.
    MARKED: each row was marked before, and has to have the mark, rather than to match the condition."""


@dataclass(frozen=True)
class Cursor:
    """The ranges still to be processed; without any, nothing is left. Immutable: a rolled-back batch keeps the old."""

    ranges: tuple[Range, ...]
    passes: int = 0
    """How many passes were completed before."""
    base: int = 0
    """How many rows the run had changed when this pass began; below zero: this pass does not count as clean."""

    @property
    def over(self) -> bool:
        return not self.ranges

    @property
    def begun(self) -> int:
        """How many rows have some of their children deleted already."""
        return sum(len(range_.keys) for range_ in self.ranges if range_.begun is not None)

    @property
    def position(self) -> KeyValue | None:
        """The key behind which the strategy continues."""
        return self.ranges[0].after if self.ranges else None

    def moved(self, after: KeyValue) -> "Cursor":
        """Return the cursor whose range in progress begins behind `after`; without that range if it ends there."""
        first, *rest = self.ranges
        if after == first.upto:
            return self.finished_range()
        return replace(self, ranges=(replace(first, after=after), *rest))

    def before(self, upto: KeyValue | None) -> "Cursor":
        """Return the cursor whose range in progress ends with `upto`; without that range if `upto` is None."""
        if upto is None:
            return self.finished_range()
        first, *rest = self.ranges
        return replace(self, ranges=(replace(first, upto=upto), *rest))

    def finished_range(self) -> "Cursor":
        """Return the cursor without the range in progress, which is done."""
        return replace(self, ranges=self.ranges[1:])

    def revisit_later(self, later: Range) -> "Cursor":
        """Return the cursor that visits `later` after all others, together with locked rows of the same visit."""
        *before, last = self.ranges or (later,)
        if self.ranges and last.keys and replace(last, keys=()) == replace(later, keys=()):
            return replace(self, ranges=(*before, replace(last, keys=(*last.keys, *later.keys))))
        return replace(self, ranges=(*self.ranges, later))

    def to_revisit(self, most: int) -> tuple[tuple[KeyValue, ...], "Cursor"]:
        """Return the keys of at most this many rows to visit again now, and the cursor behind them.

        Of refused rows these are the last ones.
        """
        range_ = self.ranges[0]
        aim = min(most, len(range_.keys))
        cut = aim if range_.refused_at is None else len(range_.keys) - aim
        parts = (range_.keys[:cut], range_.keys[cut:])
        now, rest = parts if range_.refused_at is None else reversed(parts)
        behind = self.finished_range()
        if rest:
            behind = replace(behind, ranges=(replace(range_, keys=rest), *behind.ranges))
        return now, behind

    def retry_later(self, refused: Range) -> "Cursor":
        """Return the cursor that tries `refused` again after all others, together with rows that wait already.

        Rows that were met upwards are tried again downwards: rows that refer to others mostly come after them.
        """
        if not self.ranges:
            return self.revisit_later(refused)
        *before, last = self.ranges
        same_round = last.refused_at is not None and last.visits == refused.visits
        if not same_round or (last.leaf, last.token) != (refused.leaf, refused.token):
            return self.revisit_later(refused)
        keys = (*last.keys, *refused.keys) if refused.visits == 0 else (*refused.keys, *last.keys)
        return replace(self, ranges=(*before, replace(last, keys=keys)))

    @property
    def locked(self) -> int:
        """How many rows were locked and are visited again."""
        return sum(len(r.keys) for r in self.ranges if r.refused_at is None and r.begun is None)

    def dumped(self) -> str:
        """Return the cursor as the text that the ledger keeps."""
        ranges = [_dumped(range_) for range_ in self.ranges]
        return json.dumps({"ranges": ranges, "pass": self.passes, "base": self.base}, separators=(",", ":"))

    @staticmethod
    def loaded(text: str) -> "Cursor":
        """Return the cursor from the text that `dumped` returned."""
        kept = json.loads(text)
        return Cursor(tuple(_range(*range_) for range_ in kept["ranges"]), kept["pass"], kept["base"])


def coming_back(text: str, keys: Sequence[KeyValue], begun: Sequence[KeyValue] = ()) -> str:
    """Return the ledger's cursor `text` with these rows added, which are visited after all others.

    `begun`: rows of whose children some are deleted. If the job has a mark, these rows were marked before.
    """
    cursor = Cursor.loaded(text)
    for some, how in ((keys, None), (begun, MARKED)):
        cursor = cursor.revisit_later(Range(None, None, tuple(some), begun=how)) if some else cursor
    return cursor.dumped()


def _dumped(range_: Range) -> list[Any]:
    keys = [_encoded(key) for key in range_.keys]
    return [
        _encoded(range_.after),
        _encoded(range_.upto),
        keys,
        range_.visits,
        range_.leaf,
        range_.token,
        range_.refused_at,
        *(() if range_.begun is None else (range_.begun,)),
    ]


def _encoded(key: KeyValue | None) -> list[Any] | None:
    return None if key is None else [encode(value) for value in key]


def _range(after: Any, upto: Any, keys: Any, *rest: Any) -> Range:
    return Range(_key(after), _key(upto), tuple(tuple(map(decode, key)) for key in keys), *rest)


def _key(value: list[Any] | None) -> KeyValue | None:
    return None if value is None else tuple(map(decode, value))
