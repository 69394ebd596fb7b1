"""SQLite's plans, and the index that one would use; it has neither estimates nor counters."""

import re
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from batchops.db.planner import IndexUse, explained
from batchops.db.table import Table

_SEARCH = re.compile(r"^SEARCH .* USING (?:COVERING )?INDEX (?P<index>.+) \((?P<conditions>.+)\)$")
_COLUMNS = sa.text("SELECT name FROM pragma_index_info(:index) ORDER BY seqno")
_MOST = 1_000_000


class SQLitePlanner:
    """By EXPLAIN QUERY PLAN."""

    explains_writes = True
    shield = "+"
    indexes_hold_key = True

    def matches(self, connection: sa.Connection, select: sa.Select[Any]) -> int | None:  # noqa: ARG002  no estimates
        return None

    def explain(self, connection: sa.Connection, statement: sa.Select[Any] | sa.Delete | sa.Update) -> list[str]:
        return [row.detail for row in explained(connection, statement, "EXPLAIN QUERY PLAN")]

    def index_for(self, connection: sa.Connection, table: Table, select: sa.Select[Any]) -> IndexUse | None:
        """The one index that SQLite would search for all rows of `select`; the rows are counted, up to a bound.

        Every index ends with the row number, so rows with one value have an order to be followed by.
        """
        details = [row.detail for row in explained(connection, select, "EXPLAIN QUERY PLAN")]
        found = _SEARCH.match(details[0]) if len(details) == 1 else None
        if found is None:
            return None
        columns = list(connection.execute(_COLUMNS, {"index": found["index"]}).scalars())
        if not columns or columns[0] is None:
            return None
        bound = min(_MOST, (table.rows or 10 * _MOST) // 10) + 1
        matching = sa.select(sa.func.count()).select_from(select.limit(bound).subquery())
        return IndexUse(found["index"], tuple(columns), int(connection.execute(matching).scalar_one()), 0.0)

    def meter(self, connection: sa.Connection) -> Callable[[], int] | None:  # noqa: ARG002  no such counters
        return None
