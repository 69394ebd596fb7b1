"""Which index PostgreSQL's own plan of a selection would use."""

from typing import Any

import sqlalchemy as sa

from batchops.db.backend import IndexUse
from batchops.db.postgresql.plans import nodes, plan_of
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


def index_for(connection: sa.Connection, table: Table, select: sa.Select[Any]) -> IndexUse | None:
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


def _only_index(top: dict[str, Any]) -> str | None:
    scans = [node for node in nodes(top) if "Index Name" in node]
    others = [
        node["Node Type"] for node in nodes(top) if "Scan" in node["Node Type"] and "Index" not in node["Node Type"]
    ]
    if len(scans) != 1 or any(kind != "Bitmap Heap Scan" for kind in others) or "Index Cond" not in scans[0]:
        return None
    return str(scans[0]["Index Name"])
