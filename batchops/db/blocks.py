"""A table's blocks, where a database can scan rows by them."""

from typing import Protocol

import sqlalchemy as sa

from batchops.db.table import Table
from batchops.db.types import KeyValue


class Blocks(Protocol):
    """How a database scans a table by ranges of its blocks, for the tables where it can."""

    place: str
    """The hidden column that holds a row's place."""
    start: KeyValue
    """The place before the first row of any table."""

    def serves(self, connection: sa.Connection, table: Table) -> bool:
        """Whether this server can scan the table by ranges of blocks."""

    def last(self, connection: sa.Connection, table: Table) -> int:
        """Return the number of the table's last block; -1 where it has none."""

    def storage(self, connection: sa.Connection, table: Table) -> int:
        """Return the number of the table's storage, which changes when the table is rewritten.

        Nobody can rewrite the table before the transaction ends.
        """

    def kept(self, table: Table, storage: int | None) -> sa.ColumnElement[bool]:
        """Return a condition for a statement: the table still has this storage, so it was not rewritten."""

    def rows_per_block(self, table: Table) -> float:
        """Return how many rows a block holds, by the table's own estimates; at least 1."""

    def block_of(self, place: KeyValue | None) -> int:
        """Return the number of the block that holds the place; None means `start`."""

    def place_of(self, place: KeyValue | None) -> tuple[int, int]:
        """Return the place as its block and its row in the block, which sort as places do; None means `start`."""

    def end_of(self, block: int) -> KeyValue:
        """Return the last place that the block can have."""
