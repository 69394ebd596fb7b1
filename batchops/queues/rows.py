"""The rows of a queue in statements: chosen, read, named by their key, changed."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from batchops.db.family import Family, KeyValue
from batchops.queues.queue import Queue, Row

Condition = sa.ColumnElement[bool]


class Rows:
    """What every place to keep leases in needs of the queue's own table."""

    def __init__(self, family: Family, queue: Queue, columns: Sequence[str]) -> None:
        """`columns`: those that a handler gets."""
        self._family = family
        self._queue = queue
        self._columns = columns
        self.read_columns = tuple(dict.fromkeys((*queue.key, *columns, *(name for name, _ in queue.order))))
        """Columns of the table that a role must be able to read, beside those of the condition."""
        self._order = [family.key_order(queue.table, name) for name in queue.key]

    def candidates(
        self, rows: int, low: KeyValue | None, where: Sequence[Condition], columns: Sequence[sa.ColumnElement[Any]] = ()
    ) -> sa.Select[Any]:
        """The first so many pending rows from `low` on: their keys, and `columns`."""
        query: sa.Select[Any] = sa.select(*self.out(), *columns).select_from(self._queue.table.called)
        query = query.where(self._queue.selection.clause, *where)
        if low is not None:
            query = query.where(self._family.claims.since(self._queue.table, self._queue.key, low))
        return query.order_by(*self._queue.ordering(self._order)).limit(rows)

    def read(self, attempts: sa.ColumnElement[Any]) -> list[sa.ColumnElement[Any]]:
        """The columns behind the key from which `row` makes a Row."""
        return [attempts, *(self._queue.column(name) for name in self._columns), *self._ranks()]

    def row(self, found: sa.Row[Any]) -> Row:
        """A row of key and `read` columns."""
        first = len(self._queue.key)
        last = first + 1 + len(self._columns)
        values = dict(zip(self._columns, found[first + 1 : last], strict=True))
        ranks = found[last : last + len(self._queue.order or self._queue.key)]
        return Row(self.key(found), values, found[first], tuple(ranks))

    def key(self, found: sa.Row[Any]) -> KeyValue:
        """The key that stands first in a row."""
        return tuple(self._family.key_value(value) for value in found[: len(self._queue.key)])

    def out(self) -> list[sa.ColumnElement[Any]]:
        """The key's columns, exact."""
        return [self._family.key_out(self._queue.table, name) for name in self._queue.key]

    def among(self, keys: Sequence[KeyValue]) -> Iterator[Condition]:
        """Conditions for rows with one of `keys`, each as long as a statement may be."""
        longest = self._family.longest_list
        for start in range(0, len(keys), longest):
            yield self._family.among(self._queue.table, self._queue.key, keys[start : start + longest])

    def change(
        self, connection: sa.Connection, statement: sa.Update | sa.Delete, keys: Sequence[KeyValue],
        *where: Condition,
    ) -> Collection[KeyValue]:  # fmt: skip
        """Execute it for those of `keys` for which `where` holds; which those were."""
        changed: set[KeyValue] = set()
        for mine in self.among(keys):
            one = statement.where(mine, *where)
            changed.update(self._family.claims.change(connection, self._queue.table, self._queue.key, one))
        return changed

    def update(self, *values: tuple[sa.ColumnElement[Any], Any]) -> sa.Update:
        """An UPDATE of the queue's table, in the order given: MySQL evaluates left to right."""
        return sa.update(self._queue.table.called).ordered_values(*values)

    def still_pending(self, connection: sa.Connection, keys: Sequence[KeyValue]) -> bool:
        """Whether any of these rows is pending."""
        query: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(self._queue.table.called)
        query = query.where(self._queue.selection.clause).limit(1)
        return any(connection.execute(query.where(mine)).first() for mine in self.among(keys))

    def first(self, connection: sa.Connection, low: KeyValue | None, *where: Condition) -> KeyValue | None:
        """The key of the first pending row from `low` on."""
        row = connection.execute(self.candidates(1, low, where)).first()
        return None if row is None else self.key(row)

    def _ranks(self) -> list[sa.ColumnElement[Any]]:
        """What puts the rows in order again: a statement that changes rows returns them in none."""
        return [self._queue.column(name) for name, _ in self._queue.order] or list(self._order)


def how_many(condition: Condition) -> sa.ColumnElement[Any]:
    """A count of the rows for which it holds."""
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


def number(value: Any) -> float | None:
    """What a driver gives as one kind of number or another."""
    return None if value is None else float(value)


def age(family: Family, queue: Queue, moment: str | None, free: Condition) -> sa.ColumnElement[Any]:
    """Seconds since the oldest free row's moment, in a query over the queue; NULL where no column tells."""
    if moment is None:
        return sa.null()
    oldest = sa.func.min(sa.case((free, queue.column(moment))))
    since = family.claims.age(queue.table.column(moment), oldest)
    return sa.null() if since is None else since
