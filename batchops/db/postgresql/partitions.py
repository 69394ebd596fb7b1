"""PostgreSQL's partitions: each is processed by itself, or dropped as a whole if the condition covers it."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from batchops.db.partitions import Detached
from batchops.db.postgresql import catalog
from batchops.db.postgresql.inheritance import OWN
from batchops.db.postgresql.planner import nodes, plan_of
from batchops.db.table import Table, quoted

_LEAVES = sa.text(f"""{OWN}
SELECT n.nspname, c.relname, c.relkind::text AS kind,
       pg_catalog.has_table_privilege(c.oid, 'SELECT') AND pg_catalog.has_table_privilege(c.oid, :right) AS may
FROM own JOIN pg_catalog.pg_class c USING (oid) JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind <> 'p' ORDER BY c.oid
""")
_POLICIES = sa.text("SELECT relrowsecurity FROM pg_catalog.pg_class WHERE oid = CAST(:oid AS oid)")
_PARENT = sa.text("""
SELECT n.nspname AS schema, p.relname AS name, pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS bound
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid
JOIN pg_catalog.pg_class p ON p.oid = i.inhparent JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace
WHERE c.oid = CAST(:oid AS oid) AND c.relispartition
""")


class PostgreSQLPartitions:
    """Finds the tables behind a partitioned or inherited one, and detaches, attaches and drops whole partitions."""

    def leaves(
        self, connection: sa.Connection, table: Table, select: sa.Select[Any], right: str
    ) -> Sequence[Table] | None:
        """Return the leaves that the planner would read for `select`; None for a plain table.

        Empty: the table must be processed as a whole, because this role has no right to the leaves themselves, or
        because a policy on the parent would not apply to them.
        """
        rows = connection.execute(_LEAVES, {"oids": [table.identity], "right": right}).all()
        if table.kind != "partitioned" and len(rows) == 1:
            return None
        guarded = connection.execute(_POLICIES, {"oid": table.identity}).scalar_one()
        if guarded or not all(row.may and row.kind == "r" for row in rows):
            return ()
        top = plan_of(connection, select)
        reached = {(node.get("Schema"), node["Relation Name"]) for node in nodes(top) if "Relation Name" in node}
        names = [(row.nspname, row.relname) for row in rows if (row.nspname, row.relname) in reached]
        return catalog.leaves(connection, names, table.name)

    def covered(self, connection: sa.Connection, leaves: Sequence[Table], failing: sa.TextClause) -> list[Table]:
        """Return the partitions that have no `failing` row, as the planner proves by their bounds."""
        connection.exec_driver_sql("SET LOCAL constraint_exclusion = on")
        found = []
        for leaf in leaves:
            rest: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(leaf.called)
            rest = rest.where(failing)
            if plan_of(connection, rest).get("One-Time Filter") == "false":
                found.append(leaf)
        return found

    def detach(self, connection: sa.Connection, leaf: Table) -> Detached | None:
        """Detach the partition from its parent, which stays locked until the transaction ends.

        None where the table is no partition.
        """
        parent = connection.execute(_PARENT, {"oid": leaf.identity}).first()
        if parent is None:
            return None
        detached = Detached(leaf.schema, leaf.name, parent.schema, parent.name, parent.bound)
        leaf_name = _leaf(connection, detached)
        connection.exec_driver_sql(f"ALTER TABLE {_parent(connection, detached)} DETACH PARTITION {leaf_name}")
        return detached

    def hold(self, connection: sa.Connection, detached: Detached) -> None:
        """Lock the detached table against all others: sessions that know its name could still read it."""
        connection.exec_driver_sql(f"LOCK TABLE {_leaf(connection, detached)} IN ACCESS EXCLUSIVE MODE")

    def attach(self, connection: sa.Connection, detached: Detached) -> None:
        """Attach the table to its parent again, with the same bounds."""
        connection.exec_driver_sql(
            f"ALTER TABLE {_parent(connection, detached)} "
            f"ATTACH PARTITION {_leaf(connection, detached)} {detached.bound}"
        )

    def drop(self, connection: sa.Connection, detached: Detached) -> None:
        """Drop the detached table for good."""
        connection.exec_driver_sql(f"DROP TABLE {_leaf(connection, detached)}")


def _leaf(connection: sa.Connection, detached: Detached) -> str:
    return _named(connection, detached.schema, detached.name)


def _parent(connection: sa.Connection, detached: Detached) -> str:
    return _named(connection, detached.parent_schema, detached.parent)


def _named(connection: sa.Connection, schema: str | None, name: str) -> str:
    table = sa.table(quoted(name), schema=quoted(schema) if schema else None)
    return connection.dialect.identifier_preparer.format_table(table)
