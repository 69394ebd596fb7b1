"""The SQL of a relay's first batch, for a dry run."""

from collections.abc import Iterator

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.db.recorded_statements import Rehearsed, recording, rehearsed
from batchops.outbox.after_delivery import AfterDelivery
from batchops.outbox.outbox import Outbox


def rehearse(
    connection: sa.Connection,
    database: Database,
    outbox: Outbox,
    reading: sa.Select[tuple[object, ...]],
    after_delivery: AfterDelivery,
) -> Iterator[Rehearsed]:
    """What reads the first events, and what marks the first of them as sent."""
    yield from rehearsed(connection, database, "read", [reading])
    row = connection.execute(reading.with_only_columns(outbox.id_out).limit(1)).first()
    if row is None:
        return
    with recording(connection) as marks:
        after_delivery(connection, [outbox.backend.keys.value(row[0])])
    yield from rehearsed(connection, database, "mark", marks)
