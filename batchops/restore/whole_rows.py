"""Compares archived rows of a table without a key with the table's own: whole rows, each as often as it is there."""

import sqlite3
from collections.abc import Iterable
from hashlib import blake2b
from itertools import islice
from typing import NamedTuple

_ROWS = """
PRAGMA journal_mode = off; PRAGMA synchronous = off; PRAGMA temp_store = file; PRAGMA cache_size = -32768;
CREATE TABLE row (kind integer NOT NULL, digest blob NOT NULL, line blob);
"""
_MOVED, _KEPT, _THERE = range(3)
_EACH = f"""
SELECT sum(kind = {_MOVED}) AS moved, sum(kind = {_KEPT}) AS kept, sum(kind = {_THERE}) AS there, max(line) AS line
FROM row GROUP BY digest HAVING there AND moved + kept
"""
BLOCK = 2_000
"""How many rows are stored at once."""

Values = tuple[bytes | None, ...]


class Together(NamedTuple):
    """How many archived rows are in the table too."""

    moved: int
    kept: int
    """Of copies, which stayed."""
    lines: tuple[bytes, ...]
    """The first of those that were moved."""


class WholeRows:
    """Keeps a digest of each row, and the archived rows, in a temporary file."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.executescript(_ROWS)

    def archived(self, rows: Iterable[tuple[Values, bytes]], *, kept: bool) -> None:
        """Add archived rows: their comparable values, and the line that names each."""
        self._add((_KEPT if kept else _MOVED, _digest(values), line) for values, line in rows)

    def there(self, rows: Iterable[Values]) -> None:
        """Add rows of the table."""
        self._add((_THERE, _digest(values), None) for values in rows)

    def together(self, most: int) -> Together:
        """Return how many are on both sides, and at most so many of their lines."""
        moved = kept = 0
        lines: list[bytes] = []
        for of_moved, of_kept, there, line in self._db.execute(_EACH):
            both = min(of_moved, there)
            moved, kept = moved + both, kept + min(of_kept, there - both)
            if both and len(lines) < most:
                lines.append(line)
        return Together(moved, kept, tuple(lines))

    def close(self) -> None:
        """Remove the file."""
        self._db.close()

    def _add(self, rows: Iterable[tuple[int, bytes, bytes | None]]) -> None:
        left = iter(rows)
        while some := list(islice(left, BLOCK)):
            self._db.execute("BEGIN")
            self._db.executemany("INSERT INTO row VALUES (?, ?, ?)", some)
            self._db.execute("COMMIT")


def _digest(values: Values) -> bytes:
    return blake2b(repr(values).encode(), digest_size=16).digest()
