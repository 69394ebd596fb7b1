"""A PostgreSQL heap's blocks, read by ctid ranges."""

from typing import Any

import sqlalchemy as sa

from batchops.db.postgresql.keys import NamedType
from batchops.db.table import Table
from batchops.db.types import KeyValue

_LAST = 65535
"""Greater than any row number in a block."""
_HEAP = sa.text("""
SELECT current_setting('server_version_num')::int >= 140000
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_am a ON a.oid = c.relam
WHERE c.oid = CAST(:oid AS oid) AND c.relkind = 'r' AND a.amname = 'heap'
""")
_SIZE = sa.text("SELECT pg_catalog.pg_relation_size(CAST(:oid AS oid)) / current_setting('block_size')::int")


class HeapBlocks:
    """The blocks of heap tables. A place is a ctid as text."""

    place = "ctid"
    start: KeyValue = ("(0,0)",)

    def __init__(self) -> None:
        self._storage: dict[tuple[str, str | None, str], sa.Select[Any]] = {}

    def serves(self, connection: sa.Connection, table: Table) -> bool:
        """Whether the table is a heap on PostgreSQL 14 or later.

        Older servers have no range scans by ctid, and other access methods need not have them.
        """
        return bool(connection.execute(_HEAP, {"oid": table.identity}).scalar())

    def last(self, connection: sa.Connection, table: Table) -> int:
        """Return the number of the table's last block; -1 where it has none."""
        return int(connection.execute(_SIZE, {"oid": table.identity}).scalar_one()) - 1

    def storage(self, connection: sa.Connection, table: Table) -> int:
        """Return the file node, which stays for this transaction: the statement names the table and so locks it."""
        which = (table.identity, table.schema, table.name)
        if which not in self._storage:  # built once, as every batch asks
            self._storage[which] = _storage(table)
        return int(connection.execute(self._storage[which]).scalar_one())

    def kept(self, table: Table, storage: int | None) -> sa.ColumnElement[bool]:
        """Return the condition on the file node, which the server checks once, before the statement's first row."""
        return _node(table) == sa.bindparam(None, storage, sa.BigInteger)

    def rows_per_block(self, table: Table) -> float:
        """Return the rows of a block by the statistics; without statistics, a value for a table of ordinary rows."""
        return max(1.0, table.rows / table.blocks) if table.rows and table.blocks else 50.0

    def block_of(self, place: KeyValue | None) -> int:
        """Return the number of the block that holds the place."""
        return self.place_of(place)[0]

    def place_of(self, place: KeyValue | None) -> tuple[int, int]:
        """Return the place as its block and its row in the block, which sort as places do."""
        block, row = (place or self.start)[0].strip("()").split(",")
        return int(block), int(row)

    def end_of(self, block: int) -> KeyValue:
        """Return the last place that the block can have."""
        return (f"({block},{_LAST})",)


def _storage(table: Table) -> sa.Select[Any]:
    empty: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(table.clause).where(sa.false())
    return sa.select(_node(table)).where(~sa.exists(empty))


def _node(table: Table) -> sa.ColumnElement[int]:
    oid = sa.cast(sa.literal(int(table.identity), sa.BigInteger), NamedType("oid"))
    return sa.cast(sa.func.pg_relation_filenode(oid), sa.BigInteger)
