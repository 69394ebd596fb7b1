"""Lists of rows in PostgreSQL: made by CREATE TABLE AS, with the transaction that wrote a row as its proof."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from batchops.db.database import Database
from batchops.db.planner import prefixed
from batchops.db.row_lists import key_columns
from batchops.db.table import Table, count_rows, table_name
from batchops.errors import RefusedError


class PostgreSQLRowLists:
    """Stores a list as a plain table: an unlogged one would be empty after a crash, when only a part of it is done."""

    joins = True
    merges = True  # without bounds each batch may read the whole table, to hash it

    def proof(self, table: Table) -> sa.ColumnElement[Any]:  # noqa: ARG002  every row has one
        """Return xmin: every UPDATE changes it; locks, VACUUM and CLUSTER do not."""
        return sa.literal_column("xmin")

    def follows(self, values: int) -> bool:  # noqa: ARG002  however many
        return True

    def store(self, database: Database, listed: Table, rows: sa.Select[Any]) -> int:
        name = table_name(database.engine.dialect, listed)
        with database.transaction() as connection:
            prefixed(connection, rows, f"CREATE TABLE {name} AS")
            _add_key(connection, name, key_columns(connection.dialect, listed))
            connection.exec_driver_sql(f"ANALYZE {name}")
            return count_rows(connection, listed.clause)


def _add_key(connection: sa.Connection, name: str, columns: str) -> None:
    try:
        connection.exec_driver_sql(f"ALTER TABLE {name} ADD PRIMARY KEY ({columns})")
    except IntegrityError as error:
        raise RefusedError(
            f"The rows cannot be listed: ({columns}) names more than one of them, as another table inherits the table.",
            "purge or backfill each of these tables by itself.",
        ) from error
