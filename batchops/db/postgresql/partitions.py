"""The tables behind a partitioned or inherited one, each processed by itself."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from batchops.db.postgresql import catalog
from batchops.db.postgresql.plans import nodes, plan_of
from batchops.db.table import Table

_LEAVES = sa.text("""
WITH RECURSIVE below AS (
    SELECT CAST(:oid AS oid) AS oid
    UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN below b ON i.inhparent = b.oid
)
SELECT n.nspname, c.relname, c.relkind::text AS kind,
       pg_catalog.has_table_privilege(c.oid, 'SELECT') AND pg_catalog.has_table_privilege(c.oid, :right) AS may
FROM below JOIN pg_catalog.pg_class c USING (oid) JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind <> 'p' ORDER BY c.oid
""")
_POLICIES = sa.text("SELECT relrowsecurity FROM pg_catalog.pg_class WHERE oid = CAST(:oid AS oid)")


def leaves(connection: sa.Connection, table: Table, select: sa.Select[Any], right: str) -> Sequence[Table] | None:
    """The leaves that may hold rows of `select`, by the planner's own word; None for a plain table.

    Empty: it must be processed as one, because this role may not touch the leaves themselves, or a policy on
    the parent would not hold for them.
    """
    rows = connection.execute(_LEAVES, {"oid": table.identity, "right": right}).all()
    if table.kind != "partitioned" and len(rows) == 1:
        return None
    guarded = connection.execute(_POLICIES, {"oid": table.identity}).scalar_one()
    if guarded or not all(row.may and row.kind == "r" for row in rows):
        return ()
    top = plan_of(connection, select)
    reached = {(node.get("Schema"), node["Relation Name"]) for node in nodes(top) if "Relation Name" in node}
    names = [(row.nspname, row.relname) for row in rows if (row.nspname, row.relname) in reached]
    return [replace(leaf, alias=table.name, only=True) for leaf in catalog.find_all(connection, names)]
