"""Statements that choose, read and change the rows of a queue."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from batchops.db.backend import Backend
from batchops.db.byte_limit import MOST_BYTES, ByteLimit
from batchops.db.claims import Marking
from batchops.db.types import KeyValue
from batchops.db.value_formats import JsonText
from batchops.errors import DeniedError, RowRefusedError
from batchops.queue.queue import ClaimedRows, Queue
from batchops.runtime.bisect import FEW

Condition = sa.ColumnElement[bool]
Savepoint = Callable[[sa.Connection], AbstractContextManager[None]]


class Rows:
    """The statements on the queue's own table that every place for leases needs."""

    def __init__(
        self, backend: Backend, queue: Queue, columns: Sequence[str], max_bytes: int = MOST_BYTES
    ) -> None:  # fmt: skip
        """`columns`: those that a handler gets. `max_bytes`: the most bytes of them in memory at a time."""
        self._backend = backend
        self._queue = queue
        self._columns = columns
        ordered, claimed = (one.column for one in queue.order), (column for column, _ in queue.claimed)
        self.read_columns = tuple(dict.fromkeys((*queue.key, *columns, *ordered, *claimed)))
        """The columns of the table that the role must be able to read, beside those of the condition."""
        self._attempts_at = len(columns)
        """The index of a row's attempts in what is read: after the handler's columns, or one of them."""
        self._documents = set(queue.documents(backend)).intersection(columns)
        self.limit = ByteLimit(max_bytes, backend.claims.row_bytes(queue.table, columns))

    def candidates(
        self, rows: Any, low: KeyValue | None, where: Sequence[Condition], columns: Sequence[sa.ColumnElement[Any]] = ()
    ) -> sa.Select[Any]:
        """Return the query for the first pending rows from `low` on, at most that many: their keys, and `columns`."""
        return self.first_of(rows, low, [self._queue.selection.clause, *where], columns)

    def first_of(
        self, rows: Any, low: KeyValue | None, where: Sequence[Condition | sa.TextClause],
        columns: Sequence[sa.ColumnElement[Any]] = (),
    ) -> sa.Select[Any]:  # fmt: skip
        """Return the query for the first rows from `low` on, pending or not: their keys, and `columns`."""
        query: sa.Select[Any] = sa.select(*self.out(), *columns).select_from(self._queue.table.called)
        query = query.where(*where)
        if low is not None:
            query = query.where(self._backend.keys.since(self._queue.table, self._queue.key, low))
        return query.order_by(*self._queue.ordering(self._backend)).limit(rows)

    def fitting(
        self, connection: sa.Connection, rows: int, low: KeyValue | None, where: Sequence[Condition]
    ) -> int:  # fmt: skip
        """Return how many of the first free candidates may be in memory at a time.

        This locks the candidates: otherwise others could claim them meanwhile, and larger rows would take their place.
        """

        def sizes(most: int) -> Sequence[int]:
            query = self.candidates(most, low, where).with_only_columns(self.limit.of_row.label("bytes"))
            return connection.execute(self._backend.claims.free(query)).scalars().all()

        return self.limit.rows(rows, sizes)

    def read(self, attempts: sa.ColumnElement[Any]) -> list[sa.ColumnElement[Any]]:
        """Return the columns after the key that `rows` needs."""
        columns = [self._backend.events.content(self._queue.table, name) for name in self._columns]
        self._attempts_at = next((at for at, column in enumerate(columns) if column is attempts), len(columns))
        return columns if self._attempts_at < len(columns) else [*columns, attempts]

    def rows(self, found: Sequence[Sequence[Any]]) -> ClaimedRows:
        """Return claimed rows, from the key and the `read` columns of each."""
        first = len(self._queue.key)
        read, attempts = itemgetter(slice(first, first + len(self._columns))), first + self._attempts_at
        contents = list(map(read, found))
        if self._documents:
            contents = [self._exact(self._columns, row) for row in contents]
        counts = list(map(itemgetter(attempts), found))
        if set(map(type, counts)) != {int}:  # NULL, or from MySQL's unsigned integers a Decimal
            counts = [int(count or 0) for count in counts]
        return ClaimedRows(self.keys(found), self._columns, contents, counts)

    def keys(self, found: Sequence[Sequence[Any]]) -> list[KeyValue]:
        """Return the keys of rows, which begin with them."""
        columns = [map(itemgetter(at), found) for at in range(len(self._queue.key))]
        return list(zip(*columns, strict=True))

    def key(self, found: Sequence[Any]) -> KeyValue:
        """Return the key of a row, which begins with it."""
        return self.keys([found])[0]

    def of(
        self, connection: sa.Connection, keys: Sequence[KeyValue], columns: Sequence[sa.ColumnElement[Any]]
    ) -> dict[KeyValue, Sequence[Any]]:
        """Return the `columns` of the rows with these keys, by key."""
        labelled = [column.label(f"c{i}") for i, column in enumerate((*self.out(), *columns))]
        query: sa.Select[Any] = sa.select(*labelled).select_from(self._queue.table.called)
        rows = (row for mine in self.among(keys) for row in connection.execute(query.where(mine)))
        return {self.key(row): row[len(self._queue.key) :] for row in rows}

    def contents(
        self, connection: sa.Connection, keys: Sequence[KeyValue], names: Sequence[str]
    ) -> dict[KeyValue, dict[str, Any]]:
        """Return those columns that a handler gets, in the form that it gets, by key."""
        names = [name for name in names if name in self._columns]
        if not names:
            return {}
        found = self.of(connection, keys, [self._backend.events.content(self._queue.table, name) for name in names])
        return {key: dict(zip(names, self._exact(names, values), strict=True)) for key, values in found.items()}

    def _exact(self, names: Sequence[str], found: Sequence[Any]) -> Sequence[Any]:
        """Return the values of these columns, with documents in the server's own spelling."""
        documents = (name in self._documents for name in names)
        return [
            JsonText(one) if document and one is not None else one
            for document, one in zip(documents, found, strict=True)
        ]

    def out(self) -> list[sa.ColumnElement[Any]]:
        """Return the columns to read the key exactly."""
        return [self._backend.keys.out(self._queue.table, name) for name in self._queue.key]

    def among(self, keys: Sequence[KeyValue]) -> Iterator[Condition]:
        """Yield conditions for the rows with these keys, each short enough for one statement."""
        longest = self._backend.keys.longest_list
        for start in range(0, len(keys), longest):
            yield self._backend.keys.among(self._queue.table, self._queue.key, keys[start : start + longest])

    def change(
        self, connection: sa.Connection, statement: sa.Update | sa.Delete, keys: Sequence[KeyValue],
        *where: Condition,
    ) -> Collection[KeyValue]:  # fmt: skip
        """Execute the statement for those of `keys` for which `where` holds; return the keys of the changed rows."""
        changed: set[KeyValue] = set()
        for mine in self.among(keys):
            one = statement.where(mine, *where)
            changed.update(self._backend.claims.change(connection, self._queue.table, self._queue.key, one))
        return changed

    def marking(self, statement: Callable[[Any], sa.Update | sa.Delete]) -> Marking:
        """Return what marks rows as done. `statement` makes the statement for a token."""
        queue = self._queue
        condition = queue.selection.clause if queue.row_alone else None
        return self._backend.claims.marking(queue.table, queue.key, statement, condition, in_order=not queue.order)

    def update(self, *values: tuple[sa.ColumnElement[Any], Any]) -> sa.Update:
        """Return an UPDATE of the queue's table. It keeps the order of the values: MySQL evaluates left to right."""
        return sa.update(self._queue.table.called).ordered_values(*values)

    def still_pending(self, connection: sa.Connection, keys: Sequence[KeyValue], *where: Condition) -> bool:
        """Whether any of these rows is pending, and `where` holds for it."""
        query: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(self._queue.table.called)
        query = query.where(self._queue.selection.clause, *where).limit(1)
        return any(connection.execute(query.where(mine)).first() for mine in self.among(keys))

    def exists(self, connection: sa.Connection, low: KeyValue | None, *where: Condition | sa.TextClause) -> bool:
        """Whether there is a row from `low` on for which `where` holds."""
        query: sa.Select[Any] = self.first_of(1, low, where).order_by(None)
        query = query.with_only_columns(sa.literal_column("1"))
        return connection.execute(query).first() is not None

    def takes_marks(self, connection: sa.Connection, but: KeyValue, savepoint: Savepoint) -> bool | None:
        """Whether one of the first pending rows other than `but` accepts its marks; None if there is none."""
        query = self.candidates(FEW, None, [sa.not_(mine) for mine in self.among([but])])
        labelled = query.with_only_columns(*(c.label(f"c{i}") for i, c in enumerate(query.inner_columns)))
        self._backend.claims.check_at_once(connection)
        others = connection.execute(self._backend.claims.free(labelled)).all()
        for found in others:
            with suppress(RowRefusedError, DeniedError), savepoint(connection):
                if self._queue.claimed:
                    marked = self.update(*self._queue.values(self._queue.claimed))
                    self.change(connection, marked, [self.key(found)])
                self.change(connection, self._queue.marked_done(), [self.key(found)])
                return True
        return False if others else None

    def first(self, connection: sa.Connection, low: KeyValue | None, *where: Condition) -> KeyValue | None:
        """Return the key of the first pending row from `low` on; None if there is none."""
        row = connection.execute(self.candidates(1, low, where)).first()
        return None if row is None else self.key(row)

    def first_before(
        self, connection: sa.Connection, low: KeyValue | None, key: KeyValue | None, where: Condition
    ) -> KeyValue | None:
        """Return the key of the first row before `key` for which `where` holds, pending or not; else `key`."""
        if key is None:
            return None
        upto = self._backend.keys.upto(self._queue.table, self._queue.key, key)
        row = connection.execute(self.first_of(1, low, [where, upto])).first()
        return key if row is None else self.key(row)


def how_many(condition: Condition) -> sa.ColumnElement[Any]:
    """Return the expression that counts the rows for which the condition holds."""
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


def number(value: Any) -> float | None:
    """Return a driver's number of any kind as a float."""
    return None if value is None else float(value)


def age(backend: Backend, queue: Queue, moment: str | None, free: Condition) -> sa.ColumnElement[Any]:
    """Return the expression for the age of the oldest free row in seconds; NULL if no column gives it."""
    if moment is None:
        return sa.null()
    oldest = sa.func.min(sa.case((free, queue.column(moment))))
    since = backend.claims.age(queue.table.column(moment), oldest)
    return sa.null() if since is None else since
