"""What depends on a PostgreSQL table, and which tables a plan reads from end to end."""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.db.facts import (
    CASCADE,
    RESTRICT,
    SET_DEFAULT,
    SET_NULL,
    FullRead,
    LogCost,
    OtherTable,
    Reference,
    TableFacts,
)
from batchops.db.faults import Fault, driver_error
from batchops.db.postgresql import guards, server_health, table_reads
from batchops.db.postgresql.faults import classify
from batchops.db.postgresql.inheritance import OWN
from batchops.db.postgresql.planner import plan_of
from batchops.db.table import Key, Table, count_rows

_ACTIONS = {"c": CASCADE, "n": SET_NULL, "d": SET_DEFAULT, "a": RESTRICT, "r": RESTRICT}
# An index is good for a foreign key if its first columns are those of the key, in any order. A constraint that
# represents another one on a partition is left out.
_REFERENCES = sa.text(f"""{OWN}, tree AS (
    SELECT c.oid, c.conrelid, c.conparentid, c.confdeltype = 'c' OR c.confupdtype = 'c' AS goes_on
    FROM pg_catalog.pg_constraint c WHERE c.contype = 'f' AND c.confrelid IN (SELECT oid FROM own)
    UNION
    SELECT c.oid, c.conrelid, c.conparentid, c.confdeltype = 'c' OR c.confupdtype = 'c'
    FROM tree t JOIN pg_catalog.pg_constraint c ON c.confrelid = t.conrelid WHERE c.contype = 'f' AND t.goes_on
)
SELECT cn.nspname::text AS child_schema, child.relname::text AS child,
       CASE WHEN child.reltuples >= 0 THEN child.reltuples::bigint END AS child_rows,
       pn.nspname::text AS parent_schema, parent.relname::text AS parent,
       ARRAY(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY k(n, place)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.n ORDER BY place) AS columns,
       ARRAY(SELECT a.attname::text FROM unnest(c.confkey) WITH ORDINALITY k(n, place)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.n ORDER BY place) AS referred,
       c.confdeltype::text AS on_delete, c.confupdtype::text AS on_update,
       EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.conrelid AND i.indisvalid AND i.indpred IS NULL
               AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey) AS indexed,
       c.confrelid IN (SELECT oid FROM own) AS direct
FROM tree JOIN pg_catalog.pg_constraint c USING (oid)
JOIN pg_catalog.pg_class child ON child.oid = c.conrelid JOIN pg_catalog.pg_namespace cn ON cn.oid = child.relnamespace
JOIN pg_catalog.pg_class parent ON parent.oid = c.confrelid
JOIN pg_catalog.pg_namespace pn ON pn.oid = parent.relnamespace
WHERE c.conparentid NOT IN (SELECT oid FROM tree) ORDER BY 1, 2, c.conname
""")
_NULLABLE = sa.text("""
SELECT array_agg(a.attname::text ORDER BY k.place) AS columns
FROM pg_catalog.pg_index i
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid JOIN pg_catalog.pg_am am ON am.oid = x.relam
WHERE i.indrelid = CAST(:oid AS oid) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
  AND i.indimmediate AND am.amname = 'btree' AND k.place <= i.indnkeyatts
GROUP BY i.indexrelid HAVING NOT bool_and(a.attnotnull) ORDER BY i.indexrelid
""")
# Functions that an index, a check or a default of the table depends on.
_BORROWED = sa.text(f"""{OWN}
SELECT DISTINCT p.proname || ' (of ' || r.rolname || ')'
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_proc p ON d.refclassid = 'pg_catalog.pg_proc'::regclass AND p.oid = d.refobjid
JOIN pg_catalog.pg_roles r ON r.oid = p.proowner
WHERE NOT r.rolsuper AND NOT p.prosecdef AND (
    d.classid = 'pg_catalog.pg_class'::regclass
        AND d.objid IN (SELECT indexrelid FROM pg_catalog.pg_index WHERE indrelid IN (SELECT oid FROM own))
    OR d.classid = 'pg_catalog.pg_constraint'::regclass
        AND d.objid IN (SELECT oid FROM pg_catalog.pg_constraint WHERE conrelid IN (SELECT oid FROM own))
    OR d.classid = 'pg_catalog.pg_attrdef'::regclass
        AND d.objid IN (SELECT oid FROM pg_catalog.pg_attrdef WHERE adrelid IN (SELECT oid FROM own)))
""")
_BASE = sa.text("""
SELECT table_schema || '.' || table_name FROM information_schema.view_table_usage
WHERE view_schema = :schema AND view_name = :name
""")
_SIZES = sa.text("""
SELECT n.nspname::text || '.' || c.relname::text,
       CASE WHEN c.reltuples >= 0 THEN c.reltuples ELSE pg_catalog.pg_relation_size(c.oid) / 100 END
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname::text || '.' || c.relname::text = any(:names)
""")
_LOG = LogCost("WAL", 60, 0.0, 8192)
_LIMITED = {"Limit", "LockRows", "Result", "Subquery Scan", "Append", "Merge Append", "ProjectSet"}
"""Plan nodes below which a LIMIT still ends the reading early."""


class PostgreSQLFacts:
    """Finds the facts in the catalogs and by EXPLAIN."""

    new_index = "CREATE INDEX CONCURRENTLY"
    tables_read = staticmethod(table_reads.tables_read)
    value_literal = staticmethod(table_reads.value_literal)
    guards = staticmethod(guards.guards)

    def of(self, connection: sa.Connection, table: Table) -> TableFacts:
        """Return what depends on the table and on the tables that inherit from it."""
        tables = {"oids": [table.identity]}
        about = guards.described(connection, [table])[table.identity]
        nullable = connection.execute(_NULLABLE, {"oid": table.identity}).scalars()
        bases = connection.execute(_BASE, {"schema": table.schema, "name": table.name}).scalars().all()
        return TableFacts(
            unnamed_rows=bool(about.published and about.nameless),
            triggers=guards.triggers(connection, [table]).get(table.identity, ()),
            references=tuple(_reference(row) for row in connection.execute(_REFERENCES, tables)),
            nullable_keys=tuple(Key(tuple(columns), primary=False) for columns in nullable),
            hides_rows=bool(about.hides),
            superuser=bool(about.superuser),
            borrowed=tuple(connection.execute(_BORROWED, tables).scalars()),
            foreign_parts=tuple(about.foreign_parts or ()),
            base=bases[0].removeprefix("public.") if table.kind == "view" and len(bases) == 1 else None,
            frees_space=f"VACUUM (FULL) {table.label} (locks it meanwhile), or pg_repack",
            log=_LOG,
            replicas=server_health.replicas(connection),
            warnings=(*server_health.warnings(connection), *_table_warnings(about)),
        )

    def full_reads(
        self, connection: sa.Connection, statement: sa.Select[Any] | sa.Delete | sa.Update
    ) -> Sequence[FullRead]:
        """Return the tables that the plan scans without a condition on an index or a ctid."""
        names = set(_scanned_whole(plan_of(connection, statement)))
        return [FullRead(name, int(rows)) for name, rows in connection.execute(_SIZES, {"names": list(names)})]

    def count_within(self, connection: sa.Connection, rows: sa.Select[Any], seconds: float) -> int | None:
        """Count under a savepoint, whose rollback restores the previous timeout."""
        connection.exec_driver_sql("SAVEPOINT counting")
        try:
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {max(1, round(seconds * 1000))}")
            return count_rows(connection, rows.subquery())
        except DBAPIError as error:
            if classify(driver_error(error)) not in (Fault.TIMED_OUT, Fault.DENIED):
                raise
            return None
        finally:
            connection.exec_driver_sql("ROLLBACK TO SAVEPOINT counting")


def _reference(row: sa.Row[Any]) -> Reference:
    return Reference(
        child=OtherTable(row.child_schema, row.child, row.child_rows),
        columns=tuple(row.columns),
        parent=OtherTable(row.parent_schema, row.parent),
        referred=tuple(row.referred),
        on_delete=_ACTIONS[row.on_delete],
        on_update=_ACTIONS[row.on_update],
        indexed=row.indexed,
        direct=row.direct,
    )


def _table_warnings(about: sa.Row[Any]) -> Iterator[str]:
    if about.unlogged:
        yield "The table is unlogged: a crash of the server empties it, and the ledger would not know."
    if about.published and about.named_whole:
        yield "The table is published with REPLICA IDENTITY FULL: subscribers may scan it for each row."


def _scanned_whole(node: dict[str, Any], *, limited: bool = False) -> Iterator[str]:
    kind = node["Node Type"]
    scan = kind in ("Seq Scan", "Index Scan", "Index Only Scan", "Foreign Scan", "Sample Scan")
    if scan and "Relation Name" in node and "Index Cond" not in node and not limited:
        yield f"{node.get('Schema')}.{node['Relation Name']}"
    limited = kind == "Limit" or (limited and kind in _LIMITED)
    for below in node.get("Plans", ()):
        once = below.get("Parent Relationship") in ("InitPlan", "SubPlan")
        yield from _scanned_whole(below, limited=limited and not once)
