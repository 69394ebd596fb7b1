"""Rows of a batch that are left as they are, although nothing refuses them: others hold or have changed them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from batchops.bulk.isolate_rejected import row_names
from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.bulk.strategies.strategy import Batch
from batchops.db.backend import Backend
from batchops.db.types import KeyValue
from batchops.ledger.rejected_rows import LOCKED, RejectedRow

MOST_WAITING = 20_000
"""The most rows that a worker remembers to visit again."""


def skipped(
    backend: Backend, connection: sa.Connection, batch: Batch, keys: Sequence[KeyValue], reason: str
) -> tuple[RejectedRow, ...]:
    """Return these rows with their names, for the ledger."""
    if not keys:
        return ()
    names = row_names(backend, connection, batch, keys)
    return tuple(RejectedRow(key, names[repr(key)], reason, locked=reason == LOCKED) for key in keys)


def looked_at_again(
    cursor: Cursor, now: Range, changed: tuple[KeyValue, ...]
) -> tuple[Cursor, tuple[KeyValue, ...]]:  # fmt: skip
    """Return the cursor that visits changed rows again after all others, and the keys of those to report at once.

    `now` is the range in which they were found. Later batches of a purge with children may delete them as children.
    """
    waiting = sum(len(range_.keys) for range_ in cursor.ranges)
    if not changed or now.keys or waiting + len(changed) > MOST_WAITING:
        return cursor, changed
    later = replace(now, after=None, upto=None, keys=changed, visits=1, refused_at=-1)
    return cursor.revisit_later(later), ()


def changed_meanwhile(backend: Backend, connection: sa.Connection, batch: Batch) -> tuple[KeyValue, ...]:
    """Return the keys of listed rows of the batch that have changed since, and that it did not lock before.

    It is called after a purge, which leaves no other row of the batch.
    """
    table, proven = batch.selection.table, batch.selection.proven
    if proven is None or batch.where is None:
        return ()
    columns = [backend.keys.out(table, name) for name in batch.key]
    rows: sa.Select[Any] = table.alone(sa.select(*columns).select_from(table.called))
    rows = rows.where(batch.where, sa.not_(proven))
    return tuple(tuple(row) for row in connection.execute(rows))
