"""How a database makes and reads tables of events, such as an outbox."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.db.table import Column, Table


class EventTables(Protocol):
    """What one database can do for a table of events that is read in the order of writing."""

    types: Mapping[str, str]
    """The SQL types of a new table's columns, by purpose: id, name, text, binary, json, created, sent."""
    unsent_index: str
    """The SQL that follows `ON table` in the index over the unsent events."""
    lock_rows: int
    """How many rows the table of writer locks needs so that writers can wait for each other; 0: no table is needed."""

    def is_number(self, column: Column) -> bool:
        """Whether the column holds whole numbers."""

    def text(self, table: Table, name: str) -> sa.ColumnElement[str]:
        """Return the column's value as text; equal values have equal texts."""

    def among(self, table: Table, name: str, ids: Sequence[Any]) -> Iterator[sa.ColumnElement[bool]]:
        """Yield conditions that together cover the rows with one of `ids`, each no longer than a statement may be.

        `ids` are whole numbers.
        """

    def content(self, table: Table, name: str) -> sa.ColumnElement[Any]:
        """Return what to select of the column: its value as the driver gives it, and of a document its text."""

    def is_document(self, column: Column) -> bool:
        """Whether the column's type makes its `content` JSON, in the server's own spelling."""

    def hashed(self, text: sa.ColumnElement[str]) -> sa.ColumnElement[int]:
        """Return a hash of the text with 31 bits; it is the same for the same text on this server."""

    def writers(self, connection: sa.Connection, table: Table) -> frozenset[str] | None:
        """Return unique names of the open transactions that may have written to the table.

        None where this role may not see them. A transaction is among them before it draws the number of a row.
        """

    def disorder(self, connection: sa.Connection, table: Table, name: str) -> str | None:
        """Return why this column's numbers may not be drawn in the order of time; None where no reason is known."""

    def writer_lock(self, aggregates: Sequence[str]) -> tuple[str, Sequence[Any]] | None:
        """Return SQL that waits while another open transaction writes events of one of the aggregates, and its values.

        The SQL has `?` for each value. None where the database needs no such lock.
        """
