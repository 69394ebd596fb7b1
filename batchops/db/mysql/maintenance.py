"""ANALYZE TABLE in MySQL and MariaDB; these servers purge deleted rows by themselves, so there is no VACUUM."""

from collections.abc import Callable

import sqlalchemy as sa

from batchops.db.maintenance import FreedSpace, Statement, TableSpace
from batchops.db.table import Table, table_name
from batchops.errors import BatchopsError

_SPACE = sa.text("""
SELECT data_length + index_length AS bytes, data_free AS free FROM information_schema.tables
WHERE table_schema = coalesce(:schema, database()) AND table_name = :name
""")


class MySQLMaintenance:
    """Runs ANALYZE TABLE and measures freed space; only a rewrite of the table returns space to the disk."""

    def space(self, connection: sa.Connection, table: Table) -> TableSpace:
        row = connection.execute(_SPACE, {"schema": table.schema, "name": table.name}).one()
        return TableSpace(None if row.bytes is None else int(row.bytes), None if row.free is None else int(row.free))

    def freed(
        self, before: TableSpace, after: TableSpace, rows: int, row_bytes: float | None  # noqa: ARG002  it is measured
    ) -> FreedSpace | None:  # fmt: skip
        if before.free_bytes is None or after.free_bytes is None:
            return None
        freed = max(after.free_bytes - before.free_bytes, 0)
        return FreedSpace(freed, "by data_free, which grows until InnoDB has purged the rows")

    def refusal(
        self, connection: sa.Connection, table: Table, statement: Statement  # noqa: ARG002  alike on every server
    ) -> tuple[str, str] | None:  # fmt: skip
        if statement == "ANALYZE":
            return None
        why = "MySQL and MariaDB have no VACUUM: the server purges deleted rows by itself"
        return why, f"OPTIMIZE TABLE {table.label} rewrites the table and returns its space to the disk."

    def run(
        self, connection: sa.Connection, table: Table, statement: Statement,
        stopped: Callable[[], bool],  # noqa: ARG002  it is cancelled as a whole
    ) -> None:  # fmt: skip
        for row in connection.exec_driver_sql(f"{statement} TABLE {table_name(connection.dialect, table)}").mappings():
            if str(row["Msg_type"]).lower() == "error":
                raise BatchopsError(str(row["Msg_text"]))
