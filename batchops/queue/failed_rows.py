"""Lists the failed rows of a queue, with attempts, reason and next attempt, and redrives dead letters."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa

from batchops.db.backend import Backend
from batchops.db.database import Database
from batchops.db.types import KeyValue
from batchops.db.value_formats import as_text
from batchops.errors import UsageError
from batchops.queue.leases import NEVER
from batchops.queue.leases.columns import ColumnLeases
from batchops.queue.leases.ddl import LEASES
from batchops.queue.leases.table import TableLeases
from batchops.queue.queue import Assignments, Queue
from batchops.queue.rows import Rows

T = TypeVar("T")
_WHOLE = re.compile(r"-?\d+", re.ASCII)
ROWS_PER_TRANSACTION = 1_000
"""The most rows that one transaction redrives, and one statement names."""


@dataclass(frozen=True)
class FailedRow:
    """A row whose last attempt failed."""

    key: KeyValue
    attempts: int
    reason: str
    next_seconds: float | None
    """Seconds until its next attempt, negative if that is due; None for a dead letter."""


class FailedRows:
    """Reads and redrives failed rows. `leases` is the place that holds their state."""

    def __init__(self, database: Database, queue: Queue, leases: ColumnLeases | TableLeases) -> None:
        self._database = database
        self._queue = queue
        self._leases = leases
        self._rows = Rows(database.backend, queue, ())

    def listed(self, connection: sa.Connection, most: int) -> list[FailedRow]:
        """Return the first failed rows: dead letters, then those with the nearest next attempt."""
        return self._found(connection, most, dead=False)

    def dead_letters(
        self, connection: sa.Connection, keys: Sequence[KeyValue] | None, most: int | None, *, chosen: bool
    ) -> list[KeyValue]:
        """Return keys of dead letters: those among `keys`, or all.

        With `chosen` only those for which the queue's condition holds.
        """
        found = {row.key for row in self._found(connection, None, dead=True)}
        if keys is not None or chosen:
            found = set(self._in_table(connection, list(found if keys is None else keys), chosen=chosen)) & found
        return sorted(found, key=_order)[:most]

    def redrive(
        self, assignments: Assignments, keys: Sequence[KeyValue] | None, most: int | None, *, chosen: bool
    ) -> int:  # fmt: skip
        """Make dead letters pending again, with no attempts counted; return how many.

        The parameters choose them as in `dead_letters`.
        """
        if keys is None and not chosen:
            return self._redrive_any(assignments, most)
        with self._database.reading() as connection:
            which = self.dead_letters(connection, keys, most, chosen=chosen)
        return sum(self._redrive_some(assignments, some, ROWS_PER_TRANSACTION) for some in _chunks(which))

    def _redrive_any(self, assignments: Assignments, most: int | None) -> int:
        done = 0
        while most is None or done < most:
            size = ROWS_PER_TRANSACTION if most is None else min(ROWS_PER_TRANSACTION, most - done)
            done += (back := self._redrive_some(assignments, None, size))
            if back < size:
                break
        return done

    def _redrive_some(self, assignments: Assignments, keys: Sequence[KeyValue] | None, most: int) -> int:
        with self._database.transaction() as connection:
            return self._leases.redrive(connection, self._queue.values(assignments), keys, most)

    def _found(self, connection: sa.Connection, most: int | None, *, dead: bool) -> list[FailedRow]:
        failure, attempts, next_at = (self._of(name) for name in ("failure", "attempts", "next_at"))
        gone, order = sa.func.coalesce(next_at >= NEVER, sa.false()), [next_at]
        where = gone if dead else sa.or_(failure.is_not(None), gone)
        state = [attempts, failure, next_at - self._database.backend.claims.now(), sa.case((gone, 1), else_=0)]
        ordered = [sa.case((gone, 0), else_=1), *order]
        if isinstance(self._leases, ColumnLeases):
            columns = [*self._rows.out(), *state]
            query: sa.Select[Any] = sa.select(*(column.label(f"c{i}") for i, column in enumerate(columns)))
            query = query.select_from(self._queue.table.called).where(where).order_by(*ordered).limit(most)
            return [_failed(self._rows.key(row), row[len(self._queue.key) :]) for row in connection.execute(query)]
        query = sa.select(*(column.label(f"c{i}") for i, column in enumerate([LEASES.c.row_key, *state])))
        query = query.where(LEASES.c.relation == self._queue.table.label, where).order_by(*ordered).limit(most)
        rows = connection.execute(query).all()
        keys = self._keys(connection, [row[0] for row in rows], self._leases.row_name)
        return [_failed(keys[row[0]], row[1:]) for row in rows if row[0] in keys]

    def _of(self, name: str) -> sa.ColumnElement[Any]:
        return self._leases.own(name) if isinstance(self._leases, ColumnLeases) else LEASES.c[name]

    def _keys(
        self, connection: sa.Connection, names: Sequence[str], row_name: sa.ColumnElement[Any]
    ) -> dict[str, KeyValue]:  # fmt: skip
        """Return the keys of rows by their names in the lease table; without rows that were deleted."""
        columns = [*self._rows.out(), row_name]
        query: sa.Select[Any] = sa.select(*(column.label(f"c{i}") for i, column in enumerate(columns)))
        query = query.select_from(self._queue.table.called)
        return {
            row[-1]: self._rows.key(row)
            for some in _chunks(names)
            for row in connection.execute(query.where(row_name.in_(some)))
        }

    def _in_table(self, connection: sa.Connection, keys: Sequence[KeyValue], *, chosen: bool) -> Iterator[KeyValue]:
        """Yield those keys that are in the table, as the table spells them; with `chosen` if the condition holds."""
        query: sa.Select[Any] = sa.select(*(column.label(f"c{i}") for i, column in enumerate(self._rows.out())))
        query = query.select_from(self._queue.table.called)
        query = query.where(self._queue.selection.clause) if chosen else query
        for mine in self._rows.among(keys):
            yield from map(self._rows.key, connection.execute(query.where(mine)))


def _failed(key: KeyValue, state: Sequence[Any]) -> FailedRow:
    attempts, reason, left, gone = state
    return FailedRow(key, int(attempts or 0), reason or "", None if gone or left is None else float(left))


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + ROWS_PER_TRANSACTION] for start in range(0, len(items), ROWS_PER_TRANSACTION))


def _order(key: KeyValue) -> tuple[Any, ...]:
    """Return a sort key: whole numbers, which some drivers give as text, sort by value, all else by text."""
    texts = [as_text(value) for value in key]
    return tuple((0, int(text), "") if _WHOLE.fullmatch(text) else (1, 0, text) for text in texts)


def key_text(key: KeyValue) -> str:
    """Return a key as text that `keys_of` reads."""
    return ",".join(map(as_text, key))


def keys_of(backend: Backend, texts: Sequence[str], queue: Queue) -> Iterator[KeyValue]:
    """Yield the keys that the user wrote, as values with commas between.

    Raise UsageError if the number of values is not that of the key's columns.
    """
    columns = [queue.table.column(name) for name in queue.key if name in queue.table.column_names]
    for text in texts:
        parts = [part.strip() for part in text.split(",")] if len(queue.key) > 1 else [text]
        if len(parts) != len(queue.key):
            raise UsageError(f"--row: the key is {', '.join(queue.key)}; give a value for each, commas between.")
        read = backend.claims.key_from_text
        yield tuple(read(column, part) for column, part in zip(columns, parts, strict=True)) if columns else (text,)
