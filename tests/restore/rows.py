"""Archives of real tables, and tables compared by their canonical lines: not by what a driver makes of values."""

import os
from contextlib import closing
from pathlib import Path

from batchops.archive.formats import SegmentFormat
from batchops.archive.records import ArchivedTable
from batchops.db.database import connect
from batchops.db.lookup import find_table
from batchops.db.urls import address
from tests.archive.made import PARQUET, archived
from tests.services.database import Database


def described(database: Database, table: str, label: str = "") -> tuple[ArchivedTable, list[bytes]]:
    """The table with its exact columns, and its rows as lines, sorted."""
    with closing(connect(address(database.url, os.environ))) as opened, opened.trying() as connection:
        backend = opened.backend
        found = find_table(connection, backend, table)
        columns = tuple(backend.exact_columns.columns(connection, found))
        backend.exact_columns.settle(connection)
        lines = sorted(backend.row_loading.lines(connection, found.clause, columns))
    key = found.known_by if set(found.known_by) <= set(found.column_names) else ()
    return ArchivedTable(label or found.label, columns, key, backend.exact_columns.family), lines


def archive_table(
    database: Database, table: str, root: Path, *, rows: int = 1000, format: SegmentFormat = PARQUET, run: int = 1,
    label: str = "",
) -> list[bytes]:  # fmt: skip
    """Archive a table as it is, without deleting anything; its lines."""
    described_table, lines = described(database, table, label)
    archived(root, described_table, lines, rows=rows, format=format, run=run)
    return lines
