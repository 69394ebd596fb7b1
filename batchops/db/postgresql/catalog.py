"""What PostgreSQL's catalog says about the server and its tables. Names go in as bound values only."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from batchops.db.catalog import Server
from batchops.db.table import Column, Key, Table, TableIdentity

_KINDS = {"r": "table", "p": "partitioned", "v": "view", "m": "materialized view", "f": "foreign table"}

_TABLE = """
SELECT c.oid, n.nspname, c.relname, c.relkind::text AS kind,
       CASE WHEN c.relkind <> 'p' AND c.reltuples >= 0 THEN c.reltuples::bigint END AS own_rows,
       CASE WHEN c.relkind = 'r' THEN pg_catalog.pg_table_size(c.oid) END AS own_bytes,
       c.relhassubclass AS inherited, family.rows AS family_rows, family.bytes AS family_bytes,
       CASE WHEN c.relkind = 'r' THEN c.relpages END AS blocks,
       c.relhasrules OR pg_catalog.row_security_active(c.oid) OR EXISTS (
           SELECT FROM pg_catalog.pg_trigger t  -- before each row: bits 1 and 2
           WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgtype::int & 3 = 3 AND t.tgenabled <> 'D'
       ) AS may_veto,
       pg_catalog.has_any_column_privilege(c.oid, 'UPDATE') AS lockable
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (  -- the server analyses the partitions by itself, and their parent never; a new one is empty
    WITH RECURSIVE own AS (
        SELECT c.oid UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN own ON i.inhparent = own.oid
    )
    SELECT CASE WHEN bool_and(one.reltuples >= 0 OR one.relkind = 'r' AND pg_catalog.pg_relation_size(one.oid) = 0)
                THEN sum(greatest(one.reltuples, 0))::bigint END AS rows,
           sum(pg_catalog.pg_table_size(one.oid))::bigint AS bytes
    FROM own JOIN pg_catalog.pg_class one USING (oid) WHERE one.relkind <> 'p'
) family ON c.relhassubclass
"""
_NAMED = sa.text(f"""{_TABLE}
WHERE c.relname = :name AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND CASE WHEN :schema IS NULL THEN pg_catalog.pg_table_is_visible(c.oid) ELSE n.nspname = :schema END
""").bindparams(sa.bindparam("schema", type_=sa.Text), sa.bindparam("name", type_=sa.Text))
_LISTED = sa.text(f"""{_TABLE}
JOIN unnest(CAST(:schemas AS text[]), CAST(:names AS text[])) WITH ORDINALITY AS l(schema, name, place)
  ON l.name = c.relname AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND CASE WHEN l.schema IS NULL THEN pg_catalog.pg_table_is_visible(c.oid) ELSE l.schema = n.nspname END
ORDER BY l.place
""")
_EXISTING = sa.text("""
SELECT c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = ANY(CAST(:names AS text[])) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND CASE WHEN :schema IS NULL THEN pg_catalog.pg_table_is_visible(c.oid) ELSE n.nspname = :schema END
""").bindparams(sa.bindparam("schema", type_=sa.Text))

_COLUMNS = sa.text("""
SELECT attrelid AS oid, attname, pg_catalog.format_type(atttypid, atttypmod) AS type, NOT attnotnull AS nullable,
       attgenerated <> '' AS generated,
       CASE WHEN attgenerated = '' THEN pg_catalog.pg_get_expr(adbin, adrelid) END AS "default",
       CASE WHEN own.typtype = 'd' THEN (
           WITH RECURSIVE behind AS (
               SELECT own.oid, own.typtype, own.typbasetype, own.typtypmod, 0 AS depth
               UNION ALL SELECT t.oid, t.typtype, t.typbasetype, b.typtypmod, b.depth + 1
               FROM behind b JOIN pg_catalog.pg_type t ON t.oid = b.typbasetype WHERE b.typtype = 'd'
           )
           SELECT pg_catalog.format_type(oid, typtypmod) FROM behind WHERE depth > 0 ORDER BY depth DESC LIMIT 1
       ) END AS base
FROM pg_catalog.pg_attribute JOIN pg_catalog.pg_type own ON own.oid = atttypid
LEFT JOIN pg_catalog.pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attrelid = ANY(CAST(:oids AS oid[])) AND attnum > 0 AND NOT attisdropped ORDER BY attrelid, attnum
""")

# A partial or deferred index, or one on an expression, does not identify each row at all times. Neither does an
# index with another collation where the column's own treats different values as equal.
_KEYS = sa.text("""
SELECT i.indrelid AS oid, i.indisprimary, array_agg(a.attname::text ORDER BY k.place) AS columns
FROM pg_catalog.pg_index i
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
JOIN pg_catalog.pg_am am ON am.oid = x.relam
WHERE i.indrelid = ANY(CAST(:oids AS oid[])) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
  AND i.indexprs IS NULL AND i.indimmediate AND am.amname = 'btree' AND k.place <= i.indnkeyatts
GROUP BY i.indrelid, i.indexrelid, i.indisprimary
HAVING bool_and(a.attnotnull AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_collation o
    WHERE o.oid = a.attcollation AND NOT o.collisdeterministic AND i.indcollation[k.place - 1] <> o.oid
))
ORDER BY i.indisprimary DESC, count(*), i.indexrelid
""")

_TABLES = sa.text("""
SELECT CASE WHEN pg_catalog.pg_table_is_visible(c.oid) THEN c.relname::text
            ELSE n.nspname || '.' || c.relname END
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
ORDER BY 1 LIMIT 5000
""")

_SERVER = sa.text("""
SELECT (SELECT system_identifier::text FROM pg_catalog.pg_control_system()) AS system,
       pg_catalog.current_database() AS database, current_setting('server_version') AS version,
       current_user::text AS role, current_setting('TimeZone') AS zone,
       pg_catalog.pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on' AS read_only
""")


def server(connection: sa.Connection) -> Server:
    """Return the server, and the session's role and time zone."""
    row = connection.execute(_SERVER).one()
    return Server(
        product="PostgreSQL",
        version=row.version.split(" ")[0],
        identity=f"postgresql:{row.system}:{row.database}",
        role=row.role,
        zone=row.zone,
        read_only=row.read_only,
    )


def find(connection: sa.Connection, schema: str | None, name: str) -> Table | None:
    """Return the table of exactly that name, else the one of that name in lower case, which an unquoted name means."""
    for spelled in dict.fromkeys((name, name.lower())):
        row = connection.execute(_NAMED, {"schema": schema, "name": spelled}).first()
        if row is not None:
            return _described(connection, [row])[0]
    return None


def find_all(connection: sa.Connection, names: Sequence[tuple[str | None, str]]) -> list[Table]:
    """Return those of the tables that exist, by three statements in all."""
    return [table for _, table in _listed(connection, names)]


def leaves(connection: sa.Connection, names: Sequence[tuple[str | None, str]], alias: str) -> list[Table]:
    """Return those of the tables that exist, each without the tables that inherit from it, and called `alias`."""
    return [
        replace(table, rows=row.own_rows, bytes=row.own_bytes, alias=alias, only=True)
        for row, table in _listed(connection, names)
    ]


def existing(connection: sa.Connection, schema: str | None, names: Sequence[str]) -> frozenset[str]:
    """Return those of the names that a relation of the schema, or of the search path, has."""
    return frozenset(connection.execute(_EXISTING, {"schema": schema, "names": list(names)}).scalars())


def _listed(
    connection: sa.Connection, names: Sequence[tuple[str | None, str]]
) -> Iterator[tuple[sa.Row[Any], Table]]:  # fmt: skip
    schemas, plain = [schema for schema, _ in names], [name for _, name in names]
    rows = connection.execute(_LISTED, {"schemas": schemas, "names": plain}).all()
    return zip(rows, _described(connection, rows), strict=True)


def _described(connection: sa.Connection, rows: Sequence[sa.Row[Any]]) -> list[Table]:
    oids = {"oids": [row.oid for row in rows]}
    columns: dict[int, list[Column]] = {row.oid: [] for row in rows}
    for c in connection.execute(_COLUMNS, oids):
        columns[c.oid].append(Column(c.attname, c.type, c.nullable, c.generated, c.base or "", _default(c.default)))
    keys: dict[int, list[Key]] = {row.oid: [] for row in rows}
    for k in connection.execute(_KEYS, oids):
        keys[k.oid].append(Key(tuple(k.columns), k.indisprimary))
    return [
        Table(
            schema=row.nspname,
            name=row.relname,
            kind=_KINDS[row.kind],
            columns=tuple(columns[row.oid]),
            keys=tuple(keys[row.oid]),
            identity=str(row.oid),
            rows=row.family_rows if row.inherited else row.own_rows,
            bytes=row.family_bytes if row.inherited else row.own_bytes,
            blocks=row.blocks,
            may_veto=row.may_veto,
            lockable=row.lockable,
        )
        for row in rows
    ]


def _default(expression: str | None) -> str | None:
    return None if expression is None or expression.upper().startswith("NULL::") else expression


def table_identity(connection: sa.Connection, table: Table) -> TableIdentity:
    """Return OID and file node; a partitioned table has no file of its own."""
    node = sa.text("SELECT pg_catalog.pg_relation_filenode(CAST(:oid AS oid))::text")
    return TableIdentity(f"oid {table.identity}", connection.execute(node, {"oid": table.identity}).scalar())


def unlabelled(label: str) -> tuple[str | None, str]:
    """Return schema and name for a label, which leaves out "public"."""
    schema, dot, name = label.partition(".")
    return (schema, name) if dot else ("public", label)


def tables(connection: sa.Connection) -> Sequence[str]:
    """Return the tables of the user's schemas, with the schema where the search path does not find them."""
    return list(connection.execute(_TABLES).scalars())


class PostgreSQLCatalog:
    """Reads pg_catalog, which shows every table to every role."""

    server = staticmethod(server)
    find = staticmethod(find)
    find_all = staticmethod(find_all)
    existing = staticmethod(existing)
    table_identity = staticmethod(table_identity)
    unlabelled = staticmethod(unlabelled)
    tables = staticmethod(tables)

    def hides(self, connection: sa.Connection, table: Table) -> bool:  # noqa: ARG002  the protocol's shape
        return False
