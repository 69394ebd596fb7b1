"""ANALYZE and incremental vacuum in SQLite."""

from collections.abc import Callable

import sqlalchemy as sa

from batchops.db.maintenance import FreedSpace, Statement, TableSpace
from batchops.db.table import Table, table_name

_INCREMENTAL = 2
"""The value of `PRAGMA auto_vacuum` for a file whose free pages can be returned to the disk in parts."""
_PAGES = 1_000
"""Pages in one part: other writers wait for the file while it runs."""
_ANALYZED = 1_000
"""The rows of each index that ANALYZE reads: without a limit it reads the whole table."""


class SQLiteMaintenance:
    """Measures and returns free pages of the whole file, as pages do not belong to a table."""

    def space(self, connection: sa.Connection, table: Table) -> TableSpace:  # noqa: ARG002  the whole file
        size, pages, free = (_pragma(connection, name) for name in ("page_size", "page_count", "freelist_count"))
        return TableSpace(size * pages, size * free)

    def freed(
        self, before: TableSpace, after: TableSpace, rows: int, row_bytes: float | None  # noqa: ARG002  it is measured
    ) -> FreedSpace | None:  # fmt: skip
        if None in (before.bytes, before.free_bytes, after.bytes, after.free_bytes):
            return None
        used = [(one.bytes or 0) - (one.free_bytes or 0) for one in (before, after)]
        return FreedSpace(max(used[0] - used[1], 0), "by the pages of the file, for all who wrote to it")

    def refusal(
        self, connection: sa.Connection, table: Table, statement: Statement  # noqa: ARG002  the whole file
    ) -> tuple[str, str] | None:  # fmt: skip
        if statement == "ANALYZE" or _pragma(connection, "auto_vacuum") == _INCREMENTAL:
            return None
        why = "the file cannot be vacuumed in parts, as its auto_vacuum is not INCREMENTAL"
        return why, "set PRAGMA auto_vacuum = INCREMENTAL and run VACUUM once, which rewrites the file."

    def run(
        self, connection: sa.Connection, table: Table, statement: Statement, stopped: Callable[[], bool]
    ) -> None:  # fmt: skip
        connection.exec_driver_sql("PRAGMA query_only = OFF")
        if statement == "ANALYZE":
            connection.exec_driver_sql(f"PRAGMA analysis_limit = {_ANALYZED}")
            connection.exec_driver_sql(f"ANALYZE {table_name(connection.dialect, table)}")
            return
        driver = connection.connection.driver_connection
        assert driver is not None
        while (free := _pragma(connection, "freelist_count")) and not stopped():
            driver.execute(f"PRAGMA incremental_vacuum({_PAGES})").fetchall()  # a step for each page
            if _pragma(connection, "freelist_count") >= free:
                return  # others free pages as fast as this loop returns them


def _pragma(connection: sa.Connection, name: str) -> int:
    return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
