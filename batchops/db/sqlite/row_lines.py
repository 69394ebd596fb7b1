"""Rows as lines from SQLite: by DELETE … RETURNING, each value by its storage class."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from batchops.db.exact_columns import ExactColumn
from batchops.db.row_lines import ReadRow, Take, read_rows, take_rows
from batchops.db.sqlite.exact_columns import SQLiteExactColumns
from batchops.db.table import Table

_COLUMNS = sa.text("SELECT name FROM pragma_table_xinfo(:name) WHERE hidden <> 1 ORDER BY cid")
_LOST = ("off", "memory")


class SQLiteRowLines:
    """Uses DELETE … RETURNING. A column's kind is fixed as the run begins; rows with other values are refused."""

    returns_deleted = True

    def delete(
        self, connection: sa.Connection, delete: sa.Delete, table: Table, columns: Sequence[ExactColumn], take: Take
    ) -> int:  # fmt: skip
        returning = delete.returning(*SQLiteExactColumns().selected(table, columns))
        return take_rows(connection.execute(returning), columns, take)

    def read(
        self, connection: sa.Connection, select: sa.Select[Any], table: Table, columns: Sequence[ExactColumn],
        take: Take,
    ) -> int:  # fmt: skip
        own = SQLiteExactColumns().selected(table, columns)
        rows = select.with_only_columns(*own, maintain_column_froms=True)
        return take_rows(connection.execute(rows), columns, take)

    def rows(
        self, connection: sa.Connection, rows: sa.Select[Any], table: Table, columns: Sequence[ExactColumn]
    ) -> list[ReadRow]:  # fmt: skip
        found = connection.execute(rows.add_columns(*SQLiteExactColumns().selected(table, columns)))
        return read_rows(found, columns)

    def column_names(self, connection: sa.Connection, table: Table) -> tuple[str, ...]:
        return tuple(connection.execute(_COLUMNS, {"name": table.name}).scalars())

    def weaker_commits(self, connection: sa.Connection) -> str:
        """Return the journal mode if it is unsafe; `synchronous` does not matter, as batchops sets it itself."""
        journal = str(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()).lower()
        return f"journal_mode = {journal}" if journal in _LOST else ""

    def obstacle(self, connection: sa.Connection, table: Table, columns: Sequence[ExactColumn]) -> str:  # noqa: ARG002
        return ""
