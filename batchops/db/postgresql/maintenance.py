"""VACUUM and ANALYZE in PostgreSQL, which only the table's owner may run."""

from collections.abc import Callable

import sqlalchemy as sa

from batchops.db.maintenance import FreedSpace, Statement, TableSpace
from batchops.db.table import Table, table_name

_SPACE = sa.text("""
SELECT sum(pg_catalog.pg_total_relation_size(relid))::bigint AS bytes,
       sum(pg_catalog.pg_stat_get_dead_tuples(relid))::bigint AS dead
FROM (
    SELECT CAST(:oid AS oid) AS relid
    UNION SELECT relid FROM pg_catalog.pg_partition_tree(CAST(CAST(:oid AS oid) AS regclass)) WHERE isleaf
) AS parts
""")
_OWNS = sa.text("""
SELECT pg_catalog.pg_has_role(c.relowner, 'USAGE') OR pg_catalog.pg_has_role(d.datdba, 'USAGE') AS owns,
       pg_catalog.pg_get_userbyid(c.relowner)::text AS owner
FROM pg_catalog.pg_class c, pg_catalog.pg_database d
WHERE c.oid = CAST(:oid AS oid) AND d.datname = pg_catalog.current_database()
""")
_MAY = sa.text("SELECT pg_catalog.has_table_privilege(CAST(:oid AS oid), 'MAINTAIN')")
_MAINTAIN_SINCE = 17_00_00
_LOCK_WAIT = "5s"
"""How long to wait for the lock, which conflicts only with maintenance and with changes of the table itself."""


class PostgreSQLMaintenance:
    """Runs VACUUM and ANALYZE, which block neither readers nor writers."""

    def space(self, connection: sa.Connection, table: Table) -> TableSpace:
        row = connection.execute(_SPACE, {"oid": table.identity}).one()
        return TableSpace(row.bytes, dead_rows=row.dead)

    def freed(
        self, before: TableSpace, after: TableSpace, rows: int, row_bytes: float | None
    ) -> FreedSpace | None:  # fmt: skip
        if before.bytes is not None and after.bytes is not None and after.bytes < before.bytes:
            return FreedSpace(before.bytes - after.bytes, "returned to the disk")
        if row_bytes is None:
            return None
        return FreedSpace(round(rows * row_bytes), "an estimate: rows × the table's bytes per row; usable after VACUUM")

    def refusal(self, connection: sa.Connection, table: Table, statement: Statement) -> tuple[str, str] | None:
        row = connection.execute(_OWNS, {"oid": table.identity}).one()
        if row.owns:
            return None
        version = int(connection.exec_driver_sql("SHOW server_version_num").scalar_one())
        if version >= _MAINTAIN_SINCE and connection.execute(_MAY, {"oid": table.identity}).scalar_one():
            return None
        why = f'{statement} of "{table.label}" is for its owner, {row.owner}; the server skips it for other roles'
        return why, "leave it to autovacuum, or run batchops as the owner."

    def run(
        self, connection: sa.Connection, table: Table, statement: Statement,
        stopped: Callable[[], bool],  # noqa: ARG002  it is cancelled as a whole
    ) -> None:  # fmt: skip
        connection.exec_driver_sql(f"SET lock_timeout = '{_LOCK_WAIT}'")
        connection.exec_driver_sql(f"{statement} {table_name(connection.dialect, table)}")
