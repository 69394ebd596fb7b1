"""The spool of listed ids: first the ids as they are in their file, then the keys of the rows that they name."""

import json
import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from batchops.bulk.strategies.id_file import Entry
from batchops.db.json_values import decode, encode
from batchops.db.types import KeyValue

_AT_ONCE = 10_000
_CACHE = 16_384
"""KiB of the spool in memory; the rest is in its file."""
_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}")


class IdList:
    """The keys of listed rows, each once, in an order that is the same in every process: a cursor over them is a key.

    A temporary file holds any number of them. Threads take turns.
    """

    def __init__(self, path: Path, width: int, digest: str) -> None:
        """`width`: how many columns the key has. `digest` identifies the contents of the file."""
        self.digest = digest
        self.entries = self.found = self.rows = 0
        """How many different ids the file has, how many of these name a row, and how many rows they name."""
        self._order = ", ".join(f"o{i}" for i in range(width)) + ", tagged"
        self._places = ", ".join("?" * (width + 1))
        self._guard = threading.Lock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.executescript(
            f"PRAGMA journal_mode = off; PRAGMA synchronous = off; PRAGMA cache_size = -{_CACHE};"
            " CREATE TABLE entry (line integer PRIMARY KEY, texts text NOT NULL UNIQUE);"
            f" CREATE TABLE listed ({self._order}, PRIMARY KEY ({self._order})) WITHOUT ROWID;"
        )

    def spool(self, entries: Iterable[Entry]) -> None:
        """Spool the file's ids, each text once with its first line."""
        rows = ((line, json.dumps(texts)) for line, texts in entries)
        while some := list(islice(rows, _AT_ONCE)):
            self._insert("INSERT OR IGNORE INTO entry VALUES (?, ?)", some)
        self.entries = self._one("SELECT count(*) FROM entry")

    def spooled(self, size: int) -> Iterator[list[Entry]]:
        """Yield the spooled ids, `size` at a time."""
        line = 0
        while rows := self._all("SELECT line, texts FROM entry WHERE line > ? ORDER BY line LIMIT ?", (line, size)):
            yield [(number, tuple(json.loads(texts))) for number, texts in rows]
            line = rows[-1][0]

    def add(self, keys: Iterable[KeyValue], found: int) -> None:
        """Add the keys of rows that `found` ids name."""
        self._insert(f"INSERT OR IGNORE INTO listed VALUES ({self._places})", [_ordered(key) for key in keys])
        self.found += found

    def ready(self) -> None:
        """Drop the ids, as all keys are added."""
        self._all("DROP TABLE entry")
        self.rows = self._one("SELECT count(*) FROM listed")

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    def next(self, after: KeyValue | None, upto: KeyValue | None, size: int) -> list[KeyValue]:
        """Return the first keys behind `after`, up to and including `upto`."""
        where, values = self._within(after, upto)
        rows = self._all(f"SELECT tagged FROM listed {where} ORDER BY {self._order} LIMIT ?", (*values, size))
        return [_key(tagged) for (tagged,) in rows]

    def last(self, after: KeyValue | None, upto: KeyValue | None, size: int) -> list[KeyValue]:
        """Return the last keys behind `after`, up to and including `upto`, in their order."""
        where, values = self._within(after, upto)
        downwards = self._order.replace(",", " DESC,") + " DESC"
        rows = self._all(f"SELECT tagged FROM listed {where} ORDER BY {downwards} LIMIT ?", (*values, size))
        return [_key(tagged) for (tagged,) in reversed(rows)]

    def middle(self, after: KeyValue | None, upto: KeyValue | None, least: int) -> KeyValue | None:
        """Return a key with half of the range before it; None if the range has fewer than `least` keys."""
        where, values = self._within(after, upto)
        rows = self._one(f"SELECT count(*) FROM listed {where}", values)
        if rows < least:
            return None
        order = f"ORDER BY {self._order} LIMIT 1 OFFSET {rows // 2}"
        return _key(self._one(f"SELECT tagged FROM listed {where} {order}", values))

    def _within(self, after: KeyValue | None, upto: KeyValue | None) -> tuple[str, tuple[Any, ...]]:
        bounds = [(sign, _ordered(key)) for sign, key in ((">", after), ("<=", upto)) if key is not None]
        condition = " AND ".join(f"({self._order}) {sign} ({self._places})" for sign, _ in bounds)
        return f"WHERE {condition}" if condition else "", tuple(value for _, values in bounds for value in values)

    def _insert(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        with self._guard:
            self._db.execute("BEGIN")
            self._db.executemany(sql, rows)
            self._db.execute("COMMIT")

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._guard:
            return self._db.execute(sql, values).fetchall()

    def _one(self, sql: str, values: Sequence[Any] = ()) -> Any:
        return self._all(sql, values)[0][0]


def _ordered(key: KeyValue) -> tuple[Any, ...]:
    """Return what a key is ordered by: whole numbers by value, even if the driver returns them as text."""
    tagged = [encode(value) for value in key]
    return (*map(_sortable, tagged), json.dumps(tagged))


def _sortable(tagged: Any) -> Any:
    if isinstance(tagged, str) and _NUMBER.fullmatch(tagged):
        return int(tagged)
    small = isinstance(tagged, str) or (isinstance(tagged, int) and abs(tagged) < 1 << 63)
    return tagged if small else json.dumps(tagged)


def _key(tagged: str) -> KeyValue:
    return tuple(decode(value) for value in json.loads(tagged))
