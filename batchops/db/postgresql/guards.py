"""What may keep rows of a PostgreSQL table from being changed as asked: triggers, rules, policies, publications."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from batchops.db.facts import TableFacts, TableName, Trigger
from batchops.db.postgresql.inheritance import OWN
from batchops.db.table import Table

_TABLES = sa.text(f"""{OWN}
SELECT own.root::text AS identity,
       bool_or(pg_catalog.row_security_active(c.oid)) AS hides, bool_or(c.relpersistence = 'u') AS unlogged,
       array_agg(c.relname::text) FILTER (WHERE c.relkind = 'f' AND c.oid <> own.root) AS foreign_parts,
       bool_or(c.relreplident = 'n' OR c.relreplident = 'd' AND NOT EXISTS (
           SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary
       )) AS nameless, bool_or(c.relreplident = 'f') AS named_whole,
       EXISTS (SELECT FROM pg_catalog.pg_publication_tables p JOIN pg_catalog.pg_publication u USING (pubname)
               JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname
               WHERE (u.pubdelete OR u.pubupdate)
                 AND p.tablename = any(array_agg(c.relname)) AND n.oid = any(array_agg(c.relnamespace))) AS published,
       (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) AS superuser
FROM own JOIN pg_catalog.pg_class c USING (oid) GROUP BY own.root
""")
# Bits of tgtype: 1 row, 2 before, 8 delete, 16 update. A trigger that each partition has is reported once.
_TRIGGERS = sa.text(f"""{OWN}
SELECT DISTINCT ON (own.root, t.tgname, event) own.root::text AS identity, t.tgname::text AS name,
       c.relname::text AS "table", event,
       CASE WHEN t.tgtype::int & 2 <> 0 THEN 'before' ELSE 'after' END AS timing,
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = t.tgrelid AND a.attnum = any(t.tgattr::int2[])) AS columns,
       CASE WHEN NOT p.prosecdef AND NOT r.rolsuper THEN r.rolname::text END AS author
FROM own JOIN pg_catalog.pg_trigger t ON t.tgrelid = own.oid
JOIN pg_catalog.pg_class c ON c.oid = own.oid
JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid JOIN pg_catalog.pg_roles r ON r.oid = p.proowner
CROSS JOIN LATERAL (VALUES ('DELETE', 8), ('UPDATE', 16)) AS e(event, bit)
WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgtype::int & e.bit <> 0
UNION ALL
SELECT own.root::text, w.rulename::text, c.relname::text, CASE w.ev_type WHEN '4' THEN 'DELETE' ELSE 'UPDATE' END,
       'rule', '{{}}', CASE WHEN NOT r.rolsuper THEN r.rolname::text END
FROM own JOIN pg_catalog.pg_class c ON c.oid = own.oid AND c.relkind IN ('r', 'p')
JOIN pg_catalog.pg_rewrite w ON w.ev_class = own.oid AND w.ev_type IN ('2', '4') AND w.ev_enabled IN ('O', 'A')
JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
ORDER BY 1, 2, 4
""")


def guards(connection: sa.Connection, tables: Sequence[Table]) -> Mapping[TableName, TableFacts]:
    """Return `Facts.guards` of all the tables, by two statements."""
    found, firing = described(connection, tables), triggers(connection, tables)
    return {
        (table.schema, table.name): _facts(found[table.identity], firing.get(table.identity, ())) for table in tables
    }


def _facts(about: sa.Row[Any], firing: tuple[Trigger, ...]) -> TableFacts:
    return TableFacts(
        triggers=firing,
        hides_rows=bool(about.hides),
        superuser=bool(about.superuser),
        foreign_parts=tuple(about.foreign_parts or ()),
        unnamed_rows=bool(about.published and about.nameless),
    )


def described(connection: sa.Connection, tables: Sequence[Table]) -> Mapping[str, sa.Row[Any]]:
    """Return, by the table's identity, what the catalog says of each table and of the tables that inherit from it."""
    rows = connection.execute(_TABLES, {"oids": [table.identity for table in tables]})
    return {row.identity: row for row in rows}


def triggers(connection: sa.Connection, tables: Sequence[Table]) -> Mapping[str, tuple[Trigger, ...]]:
    """Return, by the table's identity, the triggers and rules of each table and of the tables that inherit from it."""
    rows = connection.execute(_TRIGGERS, {"oids": [table.identity for table in tables]}).all()
    return {
        identity: tuple(Trigger(t.name, t.table, t.timing, t.event, tuple(t.columns), t.author) for t in listed)
        for identity, listed in groupby(rows, key=lambda row: row.identity)
    }
