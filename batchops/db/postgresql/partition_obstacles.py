"""Why a partition of PostgreSQL must not be dropped in place of deleting its rows, as the catalog says."""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from batchops.db.table import Table

_ABOVE = """
WITH RECURSIVE above AS (
    SELECT CAST(:oid AS oid) AS oid
    UNION SELECT i.inhparent FROM above JOIN pg_catalog.pg_inherits i ON i.inhrelid = above.oid
)
"""
_OWNED = sa.text(f"""{_ABOVE}
SELECT c.oid::regclass::text FROM pg_catalog.pg_class c
WHERE c.oid IN (SELECT CAST(:oid AS oid) UNION SELECT inhparent FROM pg_catalog.pg_inherits
                WHERE inhrelid = CAST(:oid AS oid))
  AND NOT pg_catalog.pg_has_role(c.relowner, 'USAGE') ORDER BY 1
""")
_REFERRING = sa.text(f"""{_ABOVE}
SELECT DISTINCT c.conrelid::regclass::text || ' (' || c.conname || ')' FROM pg_catalog.pg_constraint c
WHERE c.contype = 'f' AND c.confrelid IN (SELECT oid FROM above) AND c.conparentid = 0 ORDER BY 1
""")
_TRIGGERS = sa.text(f"""{_ABOVE}
SELECT DISTINCT t.tgname::text FROM pg_catalog.pg_trigger t
WHERE t.tgrelid IN (SELECT oid FROM above) AND NOT t.tgisinternal AND t.tgenabled <> 'D' ORDER BY 1
""")
_RULES = sa.text(f"""{_ABOVE}
SELECT r.rulename::text FROM pg_catalog.pg_rewrite r WHERE r.ev_class IN (SELECT oid FROM above) ORDER BY 1
""")
_POLICIES = sa.text(f"""{_ABOVE}
SELECT c.oid::regclass::text FROM pg_catalog.pg_class c
WHERE c.oid IN (SELECT oid FROM above) AND c.relrowsecurity ORDER BY 1
""")
_DEPENDING = sa.text("""
SELECT DISTINCT pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid)
FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid = CAST(:oid AS oid)
LEFT JOIN pg_catalog.pg_constraint o ON d.classid = 'pg_catalog.pg_constraint'::regclass AND o.oid = d.objid
WHERE d.deptype = 'n' AND o.contype IS DISTINCT FROM 'f'
  AND NOT EXISTS (  -- what is the partition's own is dropped with it
      SELECT FROM pg_catalog.pg_depend own
      WHERE own.classid = d.classid AND own.objid = d.objid AND own.deptype IN ('a', 'i')
        AND own.refclassid = 'pg_catalog.pg_class'::regclass AND own.refobjid = c.oid
  )
  AND (d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = c.oid
       OR d.refclassid = 'pg_catalog.pg_type'::regclass
          AND d.refobjid IN (c.reltype, (SELECT typarray FROM pg_catalog.pg_type WHERE oid = c.reltype)))
ORDER BY 1
""")
_SEQUENCES = sa.text("""
SELECT s.oid::regclass::text FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class s ON s.oid = d.objid
WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
  AND d.refobjid = CAST(:oid AS oid) AND d.deptype IN ('a', 'i') AND s.relkind = 'S' ORDER BY 1
""")
_PUBLISHED = sa.text(f"""{_ABOVE}
SELECT DISTINCT p.pubname::text FROM pg_catalog.pg_publication p
JOIN pg_catalog.pg_publication_tables t USING (pubname)
JOIN pg_catalog.pg_class c ON c.relname = t.tablename
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = t.schemaname
WHERE c.oid IN (SELECT oid FROM above) AND p.pubdelete ORDER BY 1
""")
_SUBSCRIBED = sa.text(f"""{_ABOVE}
SELECT DISTINCT r.srrelid::regclass::text FROM pg_catalog.pg_subscription_rel r
WHERE r.srrelid IN (SELECT oid FROM above) ORDER BY 1
""")
_MEMBER = sa.text("""
SELECT pg_catalog.pg_describe_object(d.refclassid, d.refobjid, 0) FROM pg_catalog.pg_depend d
WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = CAST(:oid AS oid) AND d.deptype = 'e'
""")
_REASONS = (
    (_OWNED, "this role does not own {}"),
    (_REFERRING, "a foreign key refers to it: {}"),
    (_TRIGGERS, "a trigger would not fire: {}"),
    (_RULES, "a rule would not apply: {}"),
    (_POLICIES, "row-level security applies to {}"),
    (_DEPENDING, "other objects depend on it: {}"),
    (_SEQUENCES, "a sequence would go with it: {}"),
    (_PUBLISHED, "a publication would not replicate it as deleted rows: {}"),
    (_SUBSCRIBED, "a subscription writes to {}"),
    (_MEMBER, "it belongs to {}"),
)


def obstacles(connection: sa.Connection, leaf: Table) -> Sequence[str]:
    """Return each reason, with the names of what is in the way."""
    return [*_obstacles(connection, leaf)]


def _obstacles(connection: sa.Connection, leaf: Table) -> Iterator[str]:
    for query, text in _REASONS:
        names = list(connection.execute(query, {"oid": leaf.identity}).scalars())
        if names:
            yield text.format(", ".join(names))
