"""Cuts a partition into parts for statements that end in time, however large it is."""

from collections.abc import Iterator

import sqlalchemy as sa

from batchops.db.backend import Backend
from batchops.db.table import Table

BLOCKS = 4_096
"""The blocks of a part: 32 MiB, without values that are stored out of line."""


def parts(
    connection: sa.Connection, backend: Backend, leaf: Table, each: int = BLOCKS
) -> Iterator[sa.ColumnElement[bool]]:  # fmt: skip
    """Yield a condition for each part of the partition; they cover all rows that it has when the first is asked for.

    If the server cannot scan the table by blocks, the one part is the whole table.
    """
    blocks = backend.blocks
    if blocks is None or not blocks.serves(connection, leaf):
        yield sa.true()
        return
    last, place = blocks.last(connection, leaf), (blocks.place,)
    for first in range(0, last + 1, each):
        end = backend.keys.upto(leaf, place, blocks.end_of(min(first + each - 1, last)))
        yield end if first == 0 else sa.and_(backend.keys.after(leaf, place, blocks.end_of(first - 1)), end)
