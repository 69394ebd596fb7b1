"""PostgreSQL's plans, the index that one would use, and its counters."""

from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa

from batchops.db.planner import IndexUse, explained
from batchops.db.table import Table

_COLUMNS = sa.text("""
SELECT array_agg(a.attname::text ORDER BY k.place) AS columns
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
JOIN pg_catalog.pg_am am ON am.oid = x.relam
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = CAST(:oid AS oid) AND x.relname = :index AND am.amname = 'btree' AND k.place <= i.indnkeyatts
""")
_DISTINCT = sa.text("""
SELECT CASE WHEN s.n_distinct < 0 THEN -s.n_distinct * :rows ELSE s.n_distinct END
FROM pg_catalog.pg_stats s WHERE s.schemaname = :schema AND s.tablename = :table AND s.attname = :column
""")
# Of this transaction alone. Live rows only: what a scan steps over is not counted.
_READ = sa.text(
    "SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0) FROM pg_catalog.pg_stat_xact_user_tables "
    "WHERE relname NOT LIKE 'batchops\\_%'"
)


class PostgreSQLPlanner:
    """By EXPLAIN and by the transaction's own statistics."""

    explains_writes = True
    shield = ""
    indexes_hold_key = False

    def matches(self, connection: sa.Connection, select: sa.Select[Any]) -> int | None:
        return int(plan_of(connection, select)["Plan Rows"])

    def explain(self, connection: sa.Connection, statement: sa.Select[Any] | sa.Delete | sa.Update) -> list[str]:
        return [str(line) for line in explained(connection, statement, "EXPLAIN").scalars()]

    def index_for(self, connection: sa.Connection, table: Table, select: sa.Select[Any]) -> IndexUse | None:
        """The one B-tree index through which the planner would find all rows of `select`; None for any other plan."""
        # No batch is planned in parallel, as none that writes is.
        connection.exec_driver_sql("SET LOCAL max_parallel_workers_per_gather = 0")
        top = plan_of(connection, select)
        name = _only_index(top)
        if name is None:
            return None
        columns = connection.execute(_COLUMNS, {"oid": table.identity, "index": name}).scalar()
        if not columns or columns[0] is None:
            return None  # an expression, or no order to follow
        names = {"schema": table.schema, "table": table.name, "column": columns[0], "rows": float(table.rows or 0)}
        distinct = connection.execute(_DISTINCT, names).scalar()
        ties = (table.rows or 0) / distinct if distinct else float(table.rows or 0)
        return IndexUse(name, tuple(c for c in columns if c), int(top["Plan Rows"]), ties)

    def meter(self, connection: sa.Connection) -> Callable[[], int] | None:
        before = connection.execute(_READ).scalar_one()
        return lambda: int(connection.execute(_READ).scalar_one() - before)


def plan_of(connection: sa.Connection, statement: sa.Select[Any] | sa.Delete | sa.Update) -> dict[str, Any]:
    """The plan's top node, with schemas named."""
    (plan,) = explained(connection, statement, "EXPLAIN (FORMAT JSON, VERBOSE)").scalars()
    top: dict[str, Any] = plan[0]["Plan"]
    return top


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A node and all below it."""
    yield node
    for below in node.get("Plans", ()):
        yield from nodes(below)


def _only_index(top: dict[str, Any]) -> str | None:
    scans = [node for node in nodes(top) if "Index Name" in node]
    others = [
        node["Node Type"] for node in nodes(top) if "Scan" in node["Node Type"] and "Index" not in node["Node Type"]
    ]
    if len(scans) != 1 or any(kind != "Bitmap Heap Scan" for kind in others) or "Index Cond" not in scans[0]:
        return None
    return str(scans[0]["Index Name"])
