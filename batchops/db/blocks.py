"""A table's blocks, where a database can scan rows by them."""

from typing import Protocol

import sqlalchemy as sa

from batchops.db.table import Table
from batchops.db.types import KeyValue


class Blocks(Protocol):
    """How rows are scanned by block, in the tables that can be."""

    place: str
    """The hidden column that is a row's place."""
    start: KeyValue
    """Before the first row."""

    def serves(self, connection: sa.Connection, table: Table) -> bool:
        """Whether this server can scan the table so."""

    def last(self, connection: sa.Connection, table: Table) -> int:
        """The number of the last block; -1 for none."""

    def storage(self, connection: sa.Connection, table: Table) -> int:
        """Changes when the table is rewritten; holds the table so for the transaction."""

    def kept(self, table: Table, storage: int | None) -> sa.ColumnElement[bool]:
        """Whether it was not rewritten, as a condition beside others."""

    def rows_per_block(self, table: Table) -> float:
        """By the table's own estimates; at least 1."""

    def block_of(self, place: KeyValue | None) -> int:
        """The block of a place."""

    def place_of(self, place: KeyValue | None) -> tuple[int, int]:
        """A place as numbers that have its order."""

    def end_of(self, block: int) -> KeyValue:
        """The last place in a block."""
