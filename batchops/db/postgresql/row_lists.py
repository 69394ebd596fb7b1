"""Lists of rows in PostgreSQL: CREATE TABLE AS, and the transaction that has written a row as its proof."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from batchops.db.database import Database
from batchops.db.planner import prefixed
from batchops.db.row_lists import count, key_columns, table_name
from batchops.db.table import Table
from batchops.errors import RefusedError


class PostgreSQLRowLists:
    """A plain table: an unlogged one is empty after a crash of the server, when half of its rows may be done."""

    joins = True
    merges = True  # else each batch may read the table whole, to hash it

    def proof(self, table: Table) -> sa.ColumnElement[Any]:  # noqa: ARG002  every row has one
        """Every UPDATE writes another; neither a lock, nor VACUUM, nor CLUSTER does."""
        return sa.literal_column("xmin")

    def follows(self, values: int) -> bool:  # noqa: ARG002  however many
        return True

    def store(self, database: Database, listed: Table, rows: sa.Select[Any]) -> int:
        name = table_name(database.engine.dialect, listed)
        with database.transaction() as connection:
            prefixed(connection, rows, f"CREATE TABLE {name} AS")
            _add_key(connection, name, key_columns(connection.dialect, listed))
            connection.exec_driver_sql(f"ANALYZE {name}")
            return count(connection, listed)


def _add_key(connection: sa.Connection, name: str, columns: str) -> None:
    try:
        connection.exec_driver_sql(f"ALTER TABLE {name} ADD PRIMARY KEY ({columns})")
    except IntegrityError as error:
        raise RefusedError(
            f"The rows cannot be listed: ({columns}) names more than one of them, as another table inherits the table.",
            "purge or backfill each of these tables by itself.",
        ) from error
