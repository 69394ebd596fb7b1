"""Where a walk stands: the ranges still to be walked, the first of them in hand."""

import json
from dataclasses import dataclass, replace
from typing import Any

from batchops.db.family import KeyValue


@dataclass(frozen=True)
class Range:
    """Keys behind `after`, up to and with `upto`; None: open. With `keys`, only those."""

    after: KeyValue | None
    upto: KeyValue | None
    keys: tuple[KeyValue, ...] = ()
    """Rows that were locked when the walk came by, to be come back to."""
    visits: int = 0
    """How often the walk has been here before."""


@dataclass(frozen=True)
class Cursor:
    """Immutable; a batch that rolls back leaves the old one standing. Empty: the walk is over."""

    ranges: tuple[Range, ...]

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
            return Cursor(tuple(rest))
        return Cursor((replace(first, after=after), *rest))

    def finished_range(self) -> "Cursor":
        """The range in hand holds nothing more."""
        return Cursor(self.ranges[1:])

    def come_back(self, later: Range) -> "Cursor":
        """Visit `later` once the rest is done."""
        return Cursor((*self.ranges, later))

    def dumped(self) -> str:
        """As the ledger keeps it."""
        return json.dumps([[r.after, r.upto, r.keys, r.visits] for r in self.ranges], separators=(",", ":"))

    @staticmethod
    def loaded(text: str) -> "Cursor":
        """What `dumped` gave."""

        def key(value: list[Any] | None) -> KeyValue | None:
            return None if value is None else tuple(value)

        return Cursor(
            tuple(
                Range(key(after), key(upto), tuple(tuple(k) for k in keys), visits)
                for after, upto, keys, visits in json.loads(text)
            )
        )
