"""Which index SQLite's own plan of a selection would use."""

import re
from typing import Any

import sqlalchemy as sa

from batchops.db.backend import IndexUse
from batchops.db.explain import explained
from batchops.db.table import Table

_SEARCH = re.compile(r"^SEARCH .* USING (?:COVERING )?INDEX (?P<index>.+) \((?P<conditions>.+)\)$")
_COLUMNS = sa.text("SELECT name FROM pragma_index_info(:index) ORDER BY seqno")
_MOST = 1_000_000


def index_for(connection: sa.Connection, table: Table, select: sa.Select[Any]) -> IndexUse | None:
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
