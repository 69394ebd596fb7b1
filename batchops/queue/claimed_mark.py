"""The mark of --claimed in leased rows, and the former values that undo it."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from batchops.db.backend import Backend
from batchops.db.json_values import decode, encode
from batchops.db.types import KeyValue
from batchops.queue.queue import Queue, Row
from batchops.queue.rows import Rows

Groups = Mapping[str, Sequence[KeyValue]]
"""Keys of rows by the text that is kept for them, which is the same for nearly all rows of a claim."""


class ClaimedMark:
    """Sets the mark of --claimed in rows that the transaction has locked, and undoes it.

    A JSON object is kept for each row: each marked column, with its value before the claim and its value as marked.
    """

    def __init__(self, backend: Backend, queue: Queue, rows: Rows) -> None:
        self._claims = backend.claims
        self._queue = queue
        self._rows = rows
        self._columns = tuple(dict.fromkeys(column for column, _ in queue.claimed))

    def set(self, connection: sa.Connection, rows: Sequence[Row]) -> tuple[Sequence[Row], Groups]:
        """Set the mark; return the rows with it, and the texts to keep for them."""
        keys = [row.key for row in rows]
        before = self._kept(connection, keys, self._columns)
        self._rows.change(connection, self._rows.update(*self._queue.values(self._queue.claimed)), keys)
        groups: dict[str, list[KeyValue]] = defaultdict(list)
        for key, values in self._kept(connection, keys, self._columns).items():
            both = {name: (before[key][name], values[name]) for name in self._columns}
            groups[json.dumps(both, separators=(",", ":"))].append(key)
        now = self._rows.contents(connection, keys, self._columns)
        return [row._replace(values={**row.values, **now.get(row.key, {})}) for row in rows], groups

    def undo(
        self, connection: sa.Connection, kept: Mapping[KeyValue, str], *also: tuple[sa.ColumnElement[Any], Any]
    ) -> None:  # fmt: skip
        """Give rows their former values, column by column, but not where others have changed the mark since.

        The same statement sets `also`.
        """
        groups: dict[str, list[KeyValue]] = defaultdict(list)
        for key, text in kept.items():
            groups[text].append(key)
        for text, keys in groups.items():
            if (both := _parsed(text)) is not None:
                self._undo(connection, both, keys, also)

    def _undo(
        self, connection: sa.Connection, both: Mapping[str, Sequence[Any]], keys: Sequence[KeyValue],
        also: Sequence[tuple[sa.ColumnElement[Any], Any]],
    ) -> None:  # fmt: skip
        table = self._queue.table
        names = [name for name in both if name in table.column_names]
        by_names: dict[tuple[str, ...], list[KeyValue]] = defaultdict(list)
        for key, now in self._kept(connection, keys, names).items():
            by_names[tuple(name for name in names if now[name] == both[name][1])].append(key)
        for marked, some in by_names.items():
            values = [
                (self._queue.column(name), self._claims.restored(table.column(name), decode(both[name][0])))
                for name in marked
            ]
            if values or also:
                self._rows.change(connection, self._rows.update(*values, *also), some)

    def _kept(
        self, connection: sa.Connection, keys: Sequence[KeyValue], names: Sequence[str]
    ) -> dict[KeyValue, dict[str, Any]]:
        """Return the rows' values as JSON, which is equal only for equal values."""
        columns = [self._claims.kept(self._queue.table, name) for name in names]
        found = self._rows.of(connection, keys, columns)
        return {key: dict(zip(names, map(encode, values), strict=True)) for key, values in found.items()}


def _parsed(text: str) -> dict[str, list[Any]] | None:
    """Return the kept values; None for other text, since a column of that name may be the application's."""
    try:
        both = json.loads(text)
    except ValueError:
        return None
    pairs = isinstance(both, dict) and all(isinstance(pair, list) and len(pair) == 2 for pair in both.values())
    return both if pairs else None
