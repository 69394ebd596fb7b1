"""PostgreSQL's partitions: each is processed by itself, or dropped as a whole if the condition covers it."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from batchops.db.partitions import Detached, State
from batchops.db.postgresql import catalog, partition_obstacles
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
SELECT n.nspname AS schema, p.relname AS name, pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS bound,
       pg_catalog.pg_get_partition_constraintdef(c.oid) AS inside
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid
JOIN pg_catalog.pg_class p ON p.oid = i.inhparent JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace
WHERE c.oid = CAST(:oid AS oid) AND c.relispartition
""")
_NOW = sa.text("""
SELECT c.relispartition AS attached, n.nspname AS schema, c.relname AS name
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = CAST(:oid AS oid)
""")
_HAS_DEFAULT = sa.text("""
SELECT EXISTS (SELECT FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = i.inhparent
               WHERE i.inhrelid = CAST(:oid AS oid) AND p.partdefid <> 0)
""")
_HAS_BOUND = sa.text("""
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
    JOIN pg_catalog.pg_class p ON p.oid = i.inhparent JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace
    WHERE n.nspname = :schema AND p.relname = :name
      AND pg_catalog.pg_get_expr(c.relpartbound, c.oid) = ANY(CAST(:bounds AS text[]))
)
""")
_DEFAULT = "DEFAULT"
_WAIT = 200
"""Milliseconds that a statement waits for a lock on the parent."""
_BOUNDS = quoted("batchops_bounds")
"""The constraint that keeps rows of a detached partition within its bounds. PostgreSQL uses it when it is attached."""
# All who use the table wait behind a lock on it that is not granted, so it is asked for again and again instead.
_SHORT_WAIT = sa.text(f"""
SELECT set_config('lock_timeout',
                  CASE WHEN setting::int BETWEEN 1 AND {_WAIT} THEN setting ELSE '{_WAIT}' END || 'ms', true)
FROM pg_catalog.pg_settings WHERE name = 'lock_timeout'
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

    def bound(self, connection: sa.Connection, leaf: Table) -> str:
        """Return the bounds as CREATE TABLE … PARTITION OF has them; empty for the DEFAULT partition."""
        found = connection.execute(_PARENT, {"oid": leaf.identity}).first()
        return "" if found is None or found.bound == _DEFAULT else str(found.bound)

    def lacks(self, connection: sa.Connection, parent_schema: str, parent: str, bound: str) -> bool:
        """Whether the parent has no partition with the bounds, and no DEFAULT partition; also if it does not exist."""
        wanted = {"schema": parent_schema, "name": parent, "bounds": [bound, _DEFAULT]}
        return not connection.execute(_HAS_BOUND, wanted).scalar_one()

    def how(self, connection: sa.Connection, leaf: Table) -> str:
        """Return the statement of `detach`, and why it is not CONCURRENTLY."""
        default = bool(connection.execute(_HAS_DEFAULT, {"oid": leaf.identity}).scalar_one())
        why = "which cannot be in one transaction with the record of it in the ledger"
        why += ", and not beside a DEFAULT partition" if default else ""
        return f"DETACH PARTITION, which waits {_WAIT} ms for its lock and is retried (not CONCURRENTLY, {why})"

    def obstacles(self, connection: sa.Connection, leaf: Table) -> Sequence[str]:
        return partition_obstacles.obstacles(connection, leaf)

    def detach(self, connection: sa.Connection, leaf: Table) -> Detached | None:
        """Detach the partition from its parent, which stays locked until the transaction ends.

        None where the table is no partition. The new constraint is not checked for the rows that are there: they were
        within the bounds.
        """
        parent = connection.execute(_PARENT, {"oid": leaf.identity}).first()
        if parent is None:
            return None
        detached = Detached(leaf.schema, leaf.name, parent.schema, parent.name, parent.bound, leaf.identity)
        name = _leaf(connection, detached)
        connection.execute(_SHORT_WAIT)
        connection.exec_driver_sql(f"ALTER TABLE {_parent(connection, detached)} DETACH PARTITION {name}")
        if parent.inside is not None:
            drop = f"DROP CONSTRAINT IF EXISTS {_quoted_bounds(connection)}"  # there if somebody else has attached it
            connection.exec_driver_sql(f"ALTER TABLE {name} {drop}")
            connection.exec_driver_sql(
                f"ALTER TABLE {name} ADD CONSTRAINT {_quoted_bounds(connection)} CHECK ({_literal(parent.inside)}) "
                "NOT VALID"
            )
        return detached

    def state(self, connection: sa.Connection, detached: Detached) -> State:
        by_name = catalog.find_all(connection, [(detached.schema, detached.name)])
        named = by_name[0].identity if by_name else ""
        found = connection.execute(_NOW, {"oid": detached.identity or named or "0"}).first()
        if found is None:
            return "another" if named else "gone"
        if detached.identity and named != detached.identity:
            return "renamed"
        return "attached" if found.attached else "detached"

    def hold(self, connection: sa.Connection, detached: Detached) -> None:
        """Lock the detached table against all others: sessions that know its name could still read it."""
        connection.exec_driver_sql(f"LOCK TABLE {_leaf(connection, detached)} IN ACCESS EXCLUSIVE MODE")

    def validate(self, connection: sa.Connection, detached: Detached) -> None:
        """Validate the constraint of `detach`, beside readers and writers of the table."""
        name = _leaf(connection, detached)
        connection.exec_driver_sql(f"ALTER TABLE {name} VALIDATE CONSTRAINT {_quoted_bounds(connection)}")

    def attach(self, connection: sa.Connection, detached: Detached) -> None:
        """Attach the table to its parent again, with the same bounds."""
        name = _leaf(connection, detached)
        connection.execute(_SHORT_WAIT)
        connection.exec_driver_sql(
            f"ALTER TABLE {_parent(connection, detached)} ATTACH PARTITION {name} {_literal(detached.bound)}"
        )
        connection.exec_driver_sql(f"ALTER TABLE {name} DROP CONSTRAINT IF EXISTS {_quoted_bounds(connection)}")

    def drop(self, connection: sa.Connection, detached: Detached) -> None:
        """Drop the detached table for good."""
        connection.execute(_SHORT_WAIT)  # tables that it refers to are locked as well
        connection.exec_driver_sql(f"DROP TABLE {_leaf(connection, detached)}")


def _quoted_bounds(connection: sa.Connection) -> str:
    return connection.dialect.identifier_preparer.quote(_BOUNDS)


def _literal(sql: str) -> str:
    """Return SQL that the server has given for a statement, in which the driver reads percent signs."""
    return sql.replace("%", "%%")


def _leaf(connection: sa.Connection, detached: Detached) -> str:
    return _named(connection, detached.schema, detached.name)


def _parent(connection: sa.Connection, detached: Detached) -> str:
    return _named(connection, detached.parent_schema, detached.parent)


def _named(connection: sa.Connection, schema: str | None, name: str) -> str:
    table = sa.table(quoted(name), schema=quoted(schema) if schema else None)
    return connection.dialect.identifier_preparer.format_table(table)
