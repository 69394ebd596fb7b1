"""The SQL of a drain's first claim, for a dry run."""

from collections.abc import Iterator

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.db.recorded_statements import Rehearsed, recording, rehearsed
from batchops.queue.leases import Leases
from batchops.queue.leases.row_lock import RowLocks
from batchops.queue.queue import Queue, Row

TOKEN = "dry-run"


def rehearse(
    connection: sa.Connection, database: Database, queue: Queue, leases: Leases | RowLocks, rows: int, seconds: float
) -> Iterator[Rehearsed]:
    """What claims the first rows, and what marks the first of them as done."""
    with recording(connection) as claim:
        if isinstance(leases, RowLocks):
            leases.claim(connection, rows, None, ())
        else:
            leases.claim(connection, rows, None, TOKEN, seconds)
    yield from rehearsed(connection, database, "claim", claim)
    first = leases.first(connection, None)
    if first is None:
        return
    if queue.claimed and not isinstance(leases, RowLocks):
        with recording(connection) as claimed:
            leases.mark(connection, [Row(first, {})])
        yield from rehearsed(connection, database, "claim", claimed)
    with recording(connection) as marks:
        if isinstance(leases, RowLocks):
            leases.ack(connection, [first])
        else:
            leases.ack(connection, TOKEN, [first])
        if not any(isinstance(one, sa.Update | sa.Delete) for one in marks):  # nobody holds it, so none is marked
            RowLocks(database.backend, queue).ack(connection, [first])
    yield from rehearsed(connection, database, "mark", marks)
