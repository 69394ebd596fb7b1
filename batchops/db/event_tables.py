"""Tables of events, an outbox's, as one family keeps and reads them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.db.table import Column, Table


class EventTables(Protocol):
    """What one database can do for a table of events that is read in the order of writing."""

    types: Mapping[str, str]
    """How the columns of a new table are spelled: id, name, text, binary, json, created, sent."""
    unsent_index: str
    """What follows ON table in the index over the unsent events."""
    lock_rows: int
    """Rows that the table of writer locks needs so that writers can wait for each other; 0: they need none."""

    def is_number(self, column: Column) -> bool:
        """Whether the column holds whole numbers."""

    def text(self, table: Table, name: str) -> sa.ColumnElement[str]:
        """The column's value as text, the same for the same value."""

    def among(self, table: Table, name: str, ids: Sequence[Any]) -> Iterator[sa.ColumnElement[bool]]:
        """Conditions for rows with one of `ids`, whole numbers, each as long as a statement may be."""

    def content(self, table: Table, name: str) -> sa.ColumnElement[Any]:
        """The column as a driver gives it, documents as their text."""

    def is_document(self, column: Column) -> bool:
        """Whether `content` of the column is JSON by its type, in the server's own spelling."""

    def hashed(self, text: sa.ColumnElement[str]) -> sa.ColumnElement[int]:
        """A number of 31 bits, the same for the same text on this server."""

    def writers(self, connection: sa.Connection, table: Table) -> frozenset[str] | None:
        """The open transactions that may have written to the table, each by a name of its own.

        None where this role may not see them. A transaction is among them before it draws the number of a row.
        """

    def disorder(self, connection: sa.Connection, table: Table, name: str) -> str | None:
        """Why numbers of this column may not be drawn in the order of the clock; None where nothing is known."""

    def writer_lock(self, aggregates: Sequence[str]) -> tuple[str, Sequence[Any]] | None:
        """SQL, parameters as `?`, that waits until no other open transaction has one of the aggregates in progress."""
