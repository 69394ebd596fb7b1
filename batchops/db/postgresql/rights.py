"""Rights in PostgreSQL: on a table, or on the columns that are read or written."""

from collections.abc import Sequence

import sqlalchemy as sa

from batchops.db.table import Table

# A grant on the table counts for each of its columns.
_COLUMNS = sa.text(
    "SELECT name FROM unnest(CAST(:names AS text[])) WITH ORDINALITY AS c (name, place)"
    " WHERE NOT pg_catalog.has_column_privilege(CAST(:oid AS oid), name, :right) ORDER BY place"
)
_ALL = sa.text(
    "SELECT coalesce(bool_and(pg_catalog.has_table_privilege(oid, right_)), true)"
    " FROM unnest(CAST(:oids AS oid[]), CAST(:rights AS text[])) AS needed (oid, right_)"
)
_ANY = {
    "DELETE": sa.text("SELECT pg_catalog.has_table_privilege(CAST(:oid AS oid), :right)"),
    "": sa.text("SELECT pg_catalog.has_any_column_privilege(CAST(:oid AS oid), :right)"),
}


_SCHEMA = sa.text("""
SELECT asked.name, pg_catalog.has_schema_privilege(n.oid, 'CREATE') AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
FROM (SELECT coalesce(CAST(:schema AS text), pg_catalog.current_schema())) AS asked (name)
LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = asked.name
""")
# The sequence of an identity column needs no right; the one of a serial column does.
_SEQUENCES = sa.text("""
SELECT CAST(d.refobjid AS text), CAST(CAST(s.oid AS regclass) AS text)
FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class s ON s.oid = d.objid
WHERE d.refobjid = ANY(CAST(:oids AS oid[])) AND d.deptype = 'a' AND d.classid = CAST('pg_catalog.pg_class' AS regclass)
  AND CASE s.relkind WHEN 'S' THEN NOT pg_catalog.has_sequence_privilege(s.oid, 'USAGE') END
""")


def account(dialect: sa.Dialect, role: str) -> str:
    """Return the role's name, quoted like any other name."""
    return dialect.identifier_preparer.quote(role)


def making_right(connection: sa.Connection, table: Table, role: str) -> str | None:
    """Return the statement that makes the schema or grants CREATE on it; None where the role may make the table.

    From version 15 on no role has CREATE on public by default.
    """
    name, may = connection.execute(_SCHEMA, {"schema": table.schema}).one()
    who, quote = account(connection.dialect, role), connection.dialect.identifier_preparer.quote
    if name is None:  # the role may use no schema of the search path
        return f"GRANT USAGE, CREATE ON SCHEMA public TO {who};"
    if may is None:
        return f"CREATE SCHEMA {quote(name)} AUTHORIZATION {who};"
    return None if may else f"GRANT USAGE, CREATE ON SCHEMA {quote(name)} TO {who};"


def numbering_rights(connection: sa.Connection, tables: Sequence[Table], role: str) -> dict[str, list[str]]:
    """Return the grants of USAGE on the sequences that number the rows, by the name of the table."""
    named = {table.identity: table.name for table in tables}
    grants: dict[str, list[str]] = {}
    for oid, name in connection.execute(_SEQUENCES, {"oids": list(named)}):
        grants.setdefault(named[oid], []).append(
            f"GRANT USAGE ON SEQUENCE {name} TO {account(connection.dialect, role)};"
        )
    return grants


def all_held(connection: sa.Connection, needs: Sequence[tuple[Table, str]]) -> bool:
    """Whether the role has all of these rights, each on its table as a whole."""
    asked = {"oids": [table.identity for table, _ in needs], "rights": [right for _, right in needs]}
    return bool(connection.execute(_ALL, asked).scalar_one())


def missing_right(
    connection: sa.Connection, table: Table, right: str, columns: Sequence[str]
) -> tuple[str, ...] | None:  # fmt: skip
    """Return the columns that the role lacks the right on; empty: the whole table; None: nothing is missing."""
    asked = {"oid": table.identity, "right": right}
    if not columns:
        held = connection.execute(_ANY.get(right, _ANY[""]), asked).scalar_one()
        return None if held else ()
    missing = tuple(connection.execute(_COLUMNS, asked | {"names": list(columns)}).scalars())
    if not missing:
        return None
    return () if len(missing) == len(table.columns) else missing


class PostgreSQLRights:
    """Asks the catalog's privilege functions."""

    account = staticmethod(account)
    making = staticmethod(making_right)
    listing = staticmethod(making_right)
    numbering = staticmethod(numbering_rights)
    all_held = staticmethod(all_held)
    missing = staticmethod(missing_right)
