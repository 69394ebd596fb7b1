"""Samples of a run in the ledger: what it had done at each heartbeat, in a ring of slots."""

from collections.abc import Collection
from dataclasses import dataclass, field

import sqlalchemy as sa

from batchops.ledger.ledger import Ledger

SLOTS = 720
"""How many samples of a run are kept: an hour with a heartbeat every 5 seconds."""


@dataclass(frozen=True)
class Sample:
    """What a run had done at one moment; the counts are those of the whole run, also of earlier processes."""

    at: float = field(default=0.0)
    """Seconds since 1970 by the database's clock."""
    rows: int = 0
    read: int = 0
    batches: int = 0
    batch_rows: int = 0
    """The rows that the last batch aimed to change."""
    batch_seconds: float = 0.0
    """The seconds that the last batch took."""
    throttled_seconds: float = 0.0
    """The seconds for which this process of the run has slept or was throttled."""
    waiting: str = ""
    """Why the run waits; empty while it works."""


def add(connection: sa.Connection, ledger: Ledger, run: int, slot: int, sample: Sample) -> None:
    """Write a sample into this slot, instead of the sample there."""
    samples, columns = ledger.samples, ledger.samples.c
    connection.execute(samples.delete().where(columns.run == run, columns.slot == slot))
    connection.execute(
        samples.insert().values(
            run=run,
            slot=slot,
            taken_at=ledger.database.backend.own_tables.epoch(),
            rows_changed=sample.rows,
            rows_read=sample.read,
            batches=sample.batches,
            batch_rows=sample.batch_rows,
            batch_seconds=sample.batch_seconds,
            throttled_seconds=sample.throttled_seconds,
            waiting=ledger.storable[columns.waiting](connection, sample.waiting),
        )
    )


def next_slot(connection: sa.Connection, ledger: Ledger, run: int) -> int:
    """Return the slot for the next sample: the first free one, or that of the oldest sample."""
    columns = ledger.samples.c
    newest = sa.select(columns.slot).where(columns.run == run).order_by(columns.taken_at.desc(), columns.slot.desc())
    slot = connection.execute(newest.limit(1)).scalar()
    return 0 if slot is None else (slot + 1) % SLOTS


def load_samples(connection: sa.Connection, ledger: Ledger, run: int, most: int = SLOTS) -> list[Sample]:
    """Return the newest samples of a run, the oldest of them first."""
    samples, columns = ledger.samples, ledger.samples.c
    query = sa.select(samples).where(columns.run == run).order_by(columns.taken_at.desc(), columns.slot.desc())
    found = [
        Sample(
            row.taken_at, row.rows_changed, row.rows_read, row.batches, row.batch_rows, row.batch_seconds,
            row.throttled_seconds, row.waiting or "",
        )
        for row in connection.execute(query.limit(most))
    ]  # fmt: skip
    return found[::-1]


def forget(connection: sa.Connection, ledger: Ledger, runs: Collection[int]) -> None:
    """Remove the samples of these runs."""
    connection.execute(ledger.samples.delete().where(ledger.samples.c.run.in_(list(runs))))
