"""PostgreSQL's plans with their costs, and its counters of rows read."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from batchops.db.facts import TableName
from batchops.db.planner import Work, prefixed
from batchops.db.postgresql.inheritance import OWN
from batchops.db.table import Table

# Counts for this transaction alone, and only live rows: those that a scan passes over are not counted.
_READ = sa.text(f"""{OWN}, others AS (SELECT to_regclass(name)::oid AS oid FROM unnest(CAST(:others AS text[])) AS name)
SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0) FROM pg_catalog.pg_stat_xact_user_tables
WHERE relid IN (SELECT oid FROM own UNION SELECT oid FROM others)
""")


_INDEX = sa.text("""
SELECT x.relname::text FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
WHERE i.indrelid = CAST(:table AS oid) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND (
    SELECT array_agg(a.attname::text ORDER BY k.place)
    FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE k.place <= i.indnkeyatts
) = CAST(:names AS text[])
""")
_CONDITIONS = {"Index Cond", "Recheck Cond"}
_ROW_COST = 0.0125
"""The planner's cost of a row and one comparison, where a block that is read in order costs 1."""


class PostgreSQLPlanner:
    """Uses EXPLAIN and the transaction's own statistics."""

    explains_writes = True

    def shield(self, table: Table) -> str:  # noqa: ARG002  the server decides well by itself
        return ""

    def matches(self, connection: sa.Connection, select: sa.Select[Any]) -> int | None:
        return int(plan_of(connection, select)["Plan Rows"])

    def explain(self, connection: sa.Connection, statement: sa.Select[Any] | sa.Delete | sa.Update) -> list[str]:
        return [str(line) for line in prefixed(connection, statement, "EXPLAIN").scalars()]

    def work(
        self, connection: sa.Connection, table: Table, parts: Sequence[Table], select: sa.Select[Any]
    ) -> Work | None:  # fmt: skip
        """Return the planner's cost divided by its cost for one row of a sequential scan."""
        rows, blocks = sum(part.rows or 0 for part in parts), sum(part.blocks or 0 for part in parts)
        if not rows or not blocks:
            return None
        unit = blocks / rows + _ROW_COST
        top = plan_of(connection, select)
        again, own = 0.0, {table.name, *(part.name for part in parts)}
        if any("Subplan Name" in node or node.get("Relation Name", table.name) not in own for node in nodes(top)):
            one = select.where(sa.literal_column("ctid") == sa.literal_column("'(0,1)'::tid"))
            again = float(plan_of(connection, one)["Total Cost"]) / unit
        return Work(float(top["Total Cost"]) / unit, int(top["Plan Rows"]), again=again)

    def finds_by_key(
        self, connection: sa.Connection, table: Table, names: Sequence[str], select: sa.Select[Any]
    ) -> bool:  # fmt: skip
        if not table.blocks:  # another server that speaks PostgreSQL's protocol has plans of another form
            return False
        found = list(nodes(plan_of(connection, select)))
        used = {node["Index Name"] for node in found if "Index Cond" in node}
        if len(used) != 1 or any("Relation Name" in node and not _CONDITIONS & node.keys() for node in found):
            return False
        indexes = connection.execute(_INDEX, {"table": table.identity, "names": list(names)}).scalars()
        return used <= set(indexes)

    def meter(
        self, connection: sa.Connection, table: Table, others: Collection[TableName]
    ) -> Callable[[], int] | None:  # fmt: skip
        named = [f"{_quoted(connection, schema)}.{_quoted(connection, name)}" for schema, name in others if schema]
        counted = {"oids": [table.identity], "others": named}
        before = connection.execute(_READ, counted).scalar_one()
        return lambda: int(connection.execute(_READ, counted).scalar_one() - before)


def _quoted(connection: sa.Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote_identifier(name)


_NOTHING: dict[str, Any] = {"Node Type": "Nothing", "Total Cost": 0.0, "Plan Rows": 0}
"""The plan of a statement in whose place a rule does nothing; the server shows none."""


def plan_of(connection: sa.Connection, statement: sa.Select[Any] | sa.Delete | sa.Update) -> dict[str, Any]:
    """Return the plan's top node; its nodes name the schemas of their tables."""
    (plan,) = prefixed(connection, statement, "EXPLAIN (FORMAT JSON, VERBOSE)").scalars()
    top: dict[str, Any] = plan[0]["Plan"] if plan else _NOTHING
    return top


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a node and all nodes below it."""
    yield node
    for below in node.get("Plans", ()):
        yield from nodes(below)
