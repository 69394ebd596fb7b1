"""Lists of rows in PostgreSQL: CREATE TABLE AS, and the transaction that has written a row as its proof."""

from typing import Any

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.db.planner import prefixed
from batchops.db.row_lists import count, key_columns, table_name
from batchops.db.table import Table


class PostgreSQLRowLists:
    """A plain table: an unlogged one is empty after a crash of the server, when half of its rows may be done."""

    def proof(self, table: Table) -> sa.ColumnElement[Any]:  # noqa: ARG002  every row has one
        """Every UPDATE writes another; neither a lock, nor VACUUM, nor CLUSTER does."""
        return sa.literal_column("xmin")

    def store(self, database: Database, listed: Table, rows: sa.Select[Any]) -> int:
        name = table_name(database.engine.dialect, listed)
        with database.transaction() as connection:
            prefixed(connection, rows, f"CREATE TABLE {name} AS")
            connection.exec_driver_sql(
                f"ALTER TABLE {name} ADD PRIMARY KEY ({key_columns(connection.dialect, listed)})"
            )
            connection.exec_driver_sql(f"ANALYZE {name}")
            return count(connection, listed)
