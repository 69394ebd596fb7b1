"""Rows as canonical lines: what a statement deletes or reads leaves the database as its own exact text."""

from collections.abc import Sequence
from typing import Protocol

import sqlalchemy as sa

from batchops.db.table import Column, Table

Line = bytes | memoryview
"""One row in PostgreSQL's COPY text format, with its newline: tabs between values, \\N for NULL, backslash escapes."""


class RowLines(Protocol):
    """How one database gives rows out."""

    returns_deleted: bool
    """Whether a DELETE itself gives its rows; else they are locked and read first."""

    def delete(
        self, connection: sa.Connection, delete: sa.Delete, table: Table, columns: Sequence[Column]
    ) -> list[Line]:  # fmt: skip
        """Run the DELETE; the rows that it has deleted, with the values of `columns`."""
