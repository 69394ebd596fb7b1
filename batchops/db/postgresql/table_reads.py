"""The tables that a condition reads beside the rows that it is about, and the value of a sub-select as a literal."""

from collections import defaultdict
from collections.abc import Collection, Sequence

import sqlalchemy as sa

from batchops.db.facts import TableName
from batchops.db.postgresql.inheritance import OWN
from batchops.db.postgresql.literals import literal
from batchops.db.postgresql.planner import nodes, plan_of
from batchops.db.table import Table

_FAMILY = sa.text(f"""{OWN}
SELECT n.nspname::text, c.relname::text FROM own JOIN pg_catalog.pg_class c USING (oid)
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
""")
# An immutable function reads no table, and what a C function reads cannot be known. Every name in a function's text
# is followed, as the function may read tables through another one that it calls.
_FUNCTIONS = sa.text("""
WITH RECURSIVE f AS (
    SELECT p.oid, pg_catalog.pg_get_functiondef(p.oid) AS body FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    WHERE p.proname = any(:names) AND p.oid >= 16384 AND p.prokind = 'f' AND p.provolatile <> 'i'
      AND l.lanname NOT IN ('internal', 'c')
    UNION
    SELECT p.oid, pg_catalog.pg_get_functiondef(p.oid) FROM f JOIN pg_catalog.pg_proc p
      ON f.body ~* ('\\m' || pg_catalog.regexp_replace(p.proname, '\\W', '.', 'g') || '\\s*\\(')
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    WHERE p.oid >= 16384 AND p.prokind = 'f' AND p.provolatile <> 'i' AND l.lanname NOT IN ('internal', 'c')
)
SELECT DISTINCT n.nspname::text, c.relname::text FROM f
JOIN pg_catalog.pg_class c ON c.relkind IN ('r', 'p', 'v') AND c.oid >= 16384
 AND f.body ~* ('\\m' || pg_catalog.regexp_replace(c.relname, '\\W', '.', 'g') || '\\M')
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
""")
_ANY_LENGTH = {
    "character": "pg_catalog.bpchar",
    "character[]": "pg_catalog.bpchar[]",
    "bit": 'pg_catalog."bit"',
    "bit[]": 'pg_catalog."bit"[]',
}
"""Types whose plain name means a length of one, with names that mean any length."""
_TYPE = sa.text("SELECT typtype FROM pg_catalog.pg_type WHERE oid = CAST(:name AS regtype)")


def tables_read(
    connection: sa.Connection, table: Table, condition: sa.ColumnElement[bool] | sa.TextClause,
    values: Sequence[sa.TextClause], functions: Collection[str],
) -> frozenset[TableName]:  # fmt: skip
    """Return the tables by the server's plan, where each scan has its own alias; those of functions by their source."""
    rows = sa.select(*values) if values else sa.select(sa.literal_column("1"))
    plan = plan_of(connection, rows.select_from(table.called).where(condition))
    scans: dict[TableName, set[str]] = defaultdict(set)
    for node in nodes(plan):
        if "Relation Name" in node:
            scans[node.get("Schema"), node["Relation Name"]].add(node.get("Alias", ""))
    own = {(schema, name) for schema, name in connection.execute(_FAMILY, {"oids": [table.identity]})}
    read = {name for name, called in scans.items() if name not in own or len(called) > 1}
    if functions:
        read.update((schema, name) for schema, name in connection.execute(_FUNCTIONS, {"names": list(functions)}))
    target = (table.schema, table.name)
    return frozenset({target if name in own else name for name in read})


def value_literal(connection: sa.Connection, named: sa.TextClause) -> str | None:
    """Return the value as a literal of the same type; None for a record, which has no literal."""
    value = sa.select(named).subquery("s")
    # A cast to text would remove the blanks at the end of a char(n).
    text = "CASE WHEN pg_catalog.format('%L', v) <> 'NULL' THEN pg_catalog.format('%s', v) END"
    columns = (sa.text(text), sa.text("CAST(pg_catalog.pg_typeof(v) AS text)"))
    written, kind = connection.execute(sa.select(*columns).select_from(value)).one()
    if connection.execute(_TYPE, {"name": kind}).scalar_one() == "p":
        return None
    return f"CAST({'NULL' if written is None else literal(written)} AS {_ANY_LENGTH.get(kind, kind)})"
