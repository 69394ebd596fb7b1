"""Whole partitions that a condition covers: found by the planner, detached, counted again, dropped."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from batchops.db.partitions import Detached
from batchops.db.postgresql.plans import plan_of
from batchops.db.table import Table, quoted

_PARENT = sa.text("""
SELECT n.nspname AS schema, p.relname AS name, pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS bound
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid
JOIN pg_catalog.pg_class p ON p.oid = i.inhparent JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace
WHERE c.oid = CAST(:oid AS oid) AND c.relispartition
""")


class PostgreSQLPartitions:
    """What can be done with a partition as a whole."""

    def covered(self, connection: sa.Connection, leaves: Sequence[Table], failing: sa.TextClause) -> list[Table]:
        """The partitions of which the planner can prove, by their bounds, that no row is `failing`."""
        connection.exec_driver_sql("SET LOCAL constraint_exclusion = on")
        found = []
        for leaf in leaves:
            rest: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(leaf.called)
            rest = rest.where(failing)
            if plan_of(connection, rest).get("One-Time Filter") == "false":
                found.append(leaf)
        return found

    def detach(self, connection: sa.Connection, leaf: Table) -> Detached | None:
        """Take the partition out of its parent, whose lock is held until the transaction ends; None: it is none."""
        parent = connection.execute(_PARENT, {"oid": leaf.identity}).first()
        if parent is None:
            return None
        detached = Detached(leaf.schema, leaf.name, parent.schema, parent.name, parent.bound)
        leaf_name = _leaf(connection, detached)
        connection.exec_driver_sql(f"ALTER TABLE {_parent(connection, detached)} DETACH PARTITION {leaf_name}")
        return detached

    def hold(self, connection: sa.Connection, detached: Detached) -> None:
        """Nobody reads it by now but who knows its name."""
        connection.exec_driver_sql(f"LOCK TABLE {_leaf(connection, detached)} IN ACCESS EXCLUSIVE MODE")

    def attach(self, connection: sa.Connection, detached: Detached) -> None:
        """Put it back as it was."""
        connection.exec_driver_sql(
            f"ALTER TABLE {_parent(connection, detached)} "
            f"ATTACH PARTITION {_leaf(connection, detached)} {detached.bound}"
        )

    def drop(self, connection: sa.Connection, detached: Detached) -> None:
        """For good."""
        connection.exec_driver_sql(f"DROP TABLE {_leaf(connection, detached)}")


def _leaf(connection: sa.Connection, detached: Detached) -> str:
    return _named(connection, detached.schema, detached.name)


def _parent(connection: sa.Connection, detached: Detached) -> str:
    return _named(connection, detached.parent_schema, detached.parent)


def _named(connection: sa.Connection, schema: str | None, name: str) -> str:
    table = sa.table(quoted(name), schema=quoted(schema) if schema else None)
    return connection.dialect.identifier_preparer.format_table(table)
