"""The cursor of a strategy: the ranges still to be processed, the first of them in progress."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from batchops.db.json_values import decode, encode
from batchops.db.types import KeyValue

UNMARKED, MARKED = 0, 1
"""How a row was begun."""


@dataclass(frozen=True)
class Range:
    """Keys behind `after`, up to and with `upto`; None: open. With `keys`, only those."""

    after: KeyValue | None
    upto: KeyValue | None
    keys: tuple[KeyValue, ...] = ()
    """Rows that were locked when the strategy met them, to be visited again."""
    visits: int = 0
    """How often the strategy has been here before."""
    leaf: str | None = None
    """Which partition, by its identity; None: the table itself."""
    token: int | None = None
    """What the strategy itself has to know of the range; nobody else reads it."""
    refused_at: int | None = None
    """Rows that the worker had changed when `keys` were refused, -1 for any number: they are tried again as long as
    others go."""
    begun: int | None = None
    """Of a purge with children: some of what hangs on the rows with `keys` is deleted already, and they are to follow.
    MARKED: each was marked before that, and its mark is what must hold."""


@dataclass(frozen=True)
class Cursor:
    """Immutable; a batch that rolls back leaves the old one. Empty: nothing is left."""

    ranges: tuple[Range, ...]
    passes: int = 0
    """How many passes were made before."""
    base: int = 0
    """Rows that the run had changed when this pass began; below zero: this pass does not count as clean."""

    @property
    def over(self) -> bool:
        return not self.ranges

    @property
    def begun(self) -> int:
        """Rows with some children deleted already."""
        return sum(len(range_.keys) for range_ in self.ranges if range_.begun is not None)

    @property
    def position(self) -> KeyValue | None:
        """The key behind which the strategy continues."""
        return self.ranges[0].after if self.ranges else None

    def moved(self, after: KeyValue) -> "Cursor":
        """The range in progress begins behind `after` now, or is done if that was its end."""
        first, *rest = self.ranges
        if after == first.upto:
            return self.finished_range()
        return replace(self, ranges=(replace(first, after=after), *rest))

    def before(self, upto: KeyValue | None) -> "Cursor":
        """The range in progress ends with `upto` now; None: it holds nothing more."""
        if upto is None:
            return self.finished_range()
        first, *rest = self.ranges
        return replace(self, ranges=(replace(first, upto=upto), *rest))

    def finished_range(self) -> "Cursor":
        """The range in progress holds nothing more."""
        return replace(self, ranges=self.ranges[1:])

    def revisit_later(self, later: Range) -> "Cursor":
        """Visit `later` once the rest is done; locked rows together with those that wait for the same visit."""
        *before, last = self.ranges or (later,)
        if self.ranges and last.keys and replace(last, keys=()) == replace(later, keys=()):
            return replace(self, ranges=(*before, replace(last, keys=(*last.keys, *later.keys))))
        return replace(self, ranges=(*self.ranges, later))

    def retry_later(self, refused: Range) -> "Cursor":
        """Try `refused` again once the rest is done, together with those that wait already.

        What is met upwards is tried again downwards, as rows that refer to others mostly come after them.
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
        """Rows that were locked and are visited again."""
        return sum(len(r.keys) for r in self.ranges if r.refused_at is None and r.begun is None)

    def dumped(self) -> str:
        """As the ledger keeps it."""
        ranges = [_dumped(range_) for range_ in self.ranges]
        return json.dumps({"ranges": ranges, "pass": self.passes, "base": self.base}, separators=(",", ":"))

    @staticmethod
    def loaded(text: str) -> "Cursor":
        """What `dumped` gave."""
        kept = json.loads(text)
        return Cursor(tuple(_range(*range_) for range_ in kept["ranges"]), kept["pass"], kept["base"])


def coming_back(text: str, keys: Sequence[KeyValue], begun: Sequence[KeyValue] = ()) -> str:
    """The cursor that the ledger has, visiting these rows as well once the rest is done.

    `begun`: those of whose children some are gone. Where the job has a mark, they got it before that.
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
