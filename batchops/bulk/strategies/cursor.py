"""Where a walk stands: the ranges still to be walked, the first of them in hand."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from batchops.db.json_values import plain, tag
from batchops.db.types import KeyValue


@dataclass(frozen=True)
class Range:
    """Keys behind `after`, up to and with `upto`; None: open. With `keys`, only those."""

    after: KeyValue | None
    upto: KeyValue | None
    keys: tuple[KeyValue, ...] = ()
    """Rows that were locked when the walk came by, to be come back to."""
    visits: int = 0
    """How often the walk has been here before."""
    leaf: str | None = None
    """Which partition, by its identity; None: the table itself."""
    storage: int | None = None
    """For a walk over blocks: the file whose blocks are meant."""
    refused_at: int | None = None
    """Rows that the lane had changed when `keys` were refused, -1 for any number: they are tried again as long as
    others go."""


@dataclass(frozen=True)
class Cursor:
    """Immutable; a batch that rolls back leaves the old one standing. Empty: the walk is over."""

    ranges: tuple[Range, ...]
    turn: int = 0
    """How many times the whole way was walked before."""
    base: int = 0
    """Rows that the run had changed when this turn began; below zero: this turn does not count as clean."""

    @property
    def over(self) -> bool:
        return not self.ranges

    @property
    def position(self) -> KeyValue | None:
        """The key behind which the walk goes on."""
        return self.ranges[0].after if self.ranges else None

    def moved(self, after: KeyValue) -> "Cursor":
        """The range in hand begins behind `after` now, or is done if that was its end."""
        first, *rest = self.ranges
        if after == first.upto:
            return self.finished_range()
        return replace(self, ranges=(replace(first, after=after), *rest))

    def finished_range(self) -> "Cursor":
        """The range in hand holds nothing more."""
        return replace(self, ranges=self.ranges[1:])

    def come_back(self, later: Range) -> "Cursor":
        """Visit `later` once the rest is done."""
        return replace(self, ranges=(*self.ranges, later))

    def waiting(self, refused: Range) -> "Cursor":
        """Try `refused` again once the rest is done, together with those that wait already.

        What is met upwards is tried again downwards, as rows that refer to others mostly come after them.
        """
        if not self.ranges:
            return self.come_back(refused)
        *before, last = self.ranges
        same_round = last.refused_at is not None and last.visits == refused.visits
        if not same_round or (last.leaf, last.storage) != (refused.leaf, refused.storage):
            return self.come_back(refused)
        keys = (*last.keys, *refused.keys) if refused.visits == 0 else (*refused.keys, *last.keys)
        return replace(self, ranges=(*before, replace(last, keys=keys)))

    def dumped(self) -> str:
        """As the ledger keeps it."""
        ranges = [_dumped(way) for way in self.ranges]
        return json.dumps({"ranges": ranges, "turn": self.turn, "base": self.base}, separators=(",", ":"))

    @staticmethod
    def loaded(text: str) -> "Cursor":
        """What `dumped` gave."""
        kept = json.loads(text)
        return Cursor(tuple(_range(*way) for way in kept["ranges"]), kept["turn"], kept["base"])


def coming_back(text: str, keys: Sequence[KeyValue]) -> str:
    """The cursor that the ledger has, visiting these keys as well once the rest is done."""
    return Cursor.loaded(text).come_back(Range(None, None, tuple(keys))).dumped()


def _dumped(way: Range) -> list[Any]:
    keys = [_tagged(key) for key in way.keys]
    return [_tagged(way.after), _tagged(way.upto), keys, way.visits, way.leaf, way.storage, way.refused_at]


def _tagged(key: KeyValue | None) -> list[Any] | None:
    return None if key is None else [tag(value) for value in key]


def _range(after: Any, upto: Any, keys: Any, *rest: Any) -> Range:
    return Range(_key(after), _key(upto), tuple(tuple(map(plain, key)) for key in keys), *rest)


def _key(value: list[Any] | None) -> KeyValue | None:
    return None if value is None else tuple(map(plain, value))
