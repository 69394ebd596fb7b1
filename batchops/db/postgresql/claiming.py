"""Claims free rows in PostgreSQL: one statement locks, leases and returns as many as fit into memory."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from batchops.db.claims import Claimable, sizes_of
from batchops.db.postgresql import keys
from batchops.db.postgresql.repeated import RepeatedStatement
from batchops.db.table import quoted
from batchops.db.types import KeyValue

_TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    "rows": sa.Integer(),
    "token": sa.Text(),
    "seconds": sa.Double(),
    "most": sa.Double(),
}


class PostgreSQLClaiming:
    """Claims by one statement with FOR UPDATE SKIP LOCKED and UPDATE … RETURNING."""

    def __init__(self, rows: Claimable) -> None:
        self._rows = rows
        self._by_number = rows.in_order and keys.are_numbers(rows.table, rows.names)
        """Whether the order of the rows is that of their keys as numbers, so that the server need not number them."""
        low: dict[str, sa.types.TypeEngine[Any]] = {name: sa.Text() for name in self._low(rows.names)}
        self._from_the_beginning = RepeatedStatement(self._statement, _TYPES)
        self._from_a_key = RepeatedStatement(self._statement, _TYPES | low)

    def __call__(
        self, connection: sa.Connection, rows: int, low: KeyValue | None, token: str, seconds: float
    ) -> Sequence[Sequence[Any]]:
        own = self._rows
        if not own.limit.likely(rows):
            rows = own.limit.rows(rows, sizes_of(connection, own, low, _free))
        statement = self._from_the_beginning if low is None else self._from_a_key
        since = dict(zip(self._low(own.names), low or (), strict=False))
        most = float(own.limit.most)
        found = statement.rows(connection, rows=rows, token=token, seconds=seconds, most=most, **since)
        if found and not found[0][-1]:
            own.limit.cut_off(len(found))
        # RETURNING does not keep the order.
        return sorted(found, key=_number if self._by_number else itemgetter(-2))

    def _statement(self, rows: Any, token: Any, seconds: Any, most: Any, **low: Any) -> sa.Update:
        own, table = self._rows, self._rows.table
        key = [keys.order(table, name).label(f"k{i}") for i, name in enumerate(own.names)]
        size = sa.cast(own.limit.of_row + 1, sa.Double).label("size")  # + 1, so that all totals differ
        # MATERIALIZED: a plain sub-select with LIMIT may be evaluated repeatedly in a nested loop, and lock more rows.
        candidates = own.candidates(rows, tuple(low.values()) or None).with_only_columns(*key, size)
        free = _free(candidates).cte("free").prefix_with("MATERIALIZED")
        claimed: sa.FromClause = free
        place: list[sa.ColumnElement[Any]] = []
        if not self._by_number:
            claimed = sa.select(*free.c, sa.func.row_number().over().label("place")).select_from(free).subquery()
            place = [claimed.c.place]
        same = (column == claimed.c[column.name] for column in key)
        values = {quoted(name): value for name, value in own.values(token, seconds).items()}
        all_fit = sa.select(sa.func.sum(free.c.size) <= most).select_from(free).scalar_subquery()
        fits = sa.or_(all_fit, sa.tuple_(*(claimed.c[column.name] for column in key)).in_(_fitting(free, most)))
        out = [*(keys.out(table, name) for name in own.names), *own.columns, *place, all_fit]
        update = sa.update(table.called).values(values).where(*same, fits)
        return table.alone(update.returning(*(column.label(f"c{i}") for i, column in enumerate(out))))

    @staticmethod
    def _low(names: Sequence[str]) -> list[str]:
        return [f"low{i}" for i in range(len(names))]


def _free(select: sa.Select[Any]) -> sa.Select[Any]:
    return select.with_for_update(skip_locked=True)


def _fitting(free: sa.CTE, most: Any) -> sa.Select[Any]:
    """Return the query for the keys of the first rows that fit into `most` bytes together, at least one.

    It takes longer than to lock the rows, and is evaluated only if they do not all fit.
    """
    total = sa.func.sum(free.c.size).over(rows=(None, 0)).label("total")
    summed = sa.select(*free.c, total).select_from(free).subquery("summed")
    names = [column.name for column in free.c if column.name != "size"]
    # The first row's total is its own size.
    fits = sa.or_(summed.c.total <= most, summed.c.total == summed.c.size)
    return sa.select(*(summed.c[name] for name in names)).where(fits)


def _number(row: Sequence[Any]) -> int:
    return int(row[0])
