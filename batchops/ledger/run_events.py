"""The plan of a run and its last events in the ledger; the events fill a ring of slots."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from batchops.ledger.ledger import Ledger

MOST = 50
"""How many events of a run are kept; similar ones count as one."""


@dataclass(frozen=True)
class RunEvent:
    """An event of a run, or several similar ones."""

    event: str
    text: str
    at: float
    """The time of the first one, in seconds since 1970 by the database's clock."""
    last_at: float
    times: int


def save_plan(connection: sa.Connection, ledger: Ledger, run: int, plan: Mapping[str, Any]) -> None:
    """Record the plan of the process that works on the run now; it replaces an earlier process's plan."""
    connection.execute(ledger.plans.delete().where(ledger.plans.c.run == run))
    connection.execute(ledger.plans.insert().values(run=run, plan=json.dumps(plan, default=str)))


def load_plan(connection: sa.Connection, ledger: Ledger, run: int) -> dict[str, Any] | None:
    """Return the plan of the last process that worked on the run; None if there is none."""
    text = connection.execute(sa.select(ledger.plans.c.plan).where(ledger.plans.c.run == run)).scalar()
    return None if text is None else dict(json.loads(text))


def write(
    connection: sa.Connection, ledger: Ledger, run: int, events: Sequence[tuple[int, RunEvent]]
) -> None:  # fmt: skip
    """Write events into their slots, instead of the events there; their times are in seconds before now."""
    if not events:
        return
    table, now = ledger.events, ledger.database.backend.own_tables.epoch()
    connection.execute(table.delete().where(table.c.run == run, table.c.slot.in_([slot for slot, _ in events])))
    for slot, one in events:
        connection.execute(
            table.insert().values(
                run=run, slot=slot, event=one.event, message=json.dumps(one.text),
                at=now - sa.literal(one.at), last_at=now - sa.literal(one.last_at), times=one.times,
            )
        )  # fmt: skip


def next_slot(connection: sa.Connection, ledger: Ledger, run: int) -> int:
    """Return the slot for the next event: the first free one, or that of the oldest event."""
    columns = ledger.events.c
    newest = sa.select(columns.slot).where(columns.run == run).order_by(columns.at.desc(), columns.slot.desc())
    slot = connection.execute(newest.limit(1)).scalar()
    return 0 if slot is None else (slot + 1) % MOST


def load_events(connection: sa.Connection, ledger: Ledger, run: int) -> list[RunEvent]:
    """Return the events that are kept of a run, the oldest first."""
    table = ledger.events
    query = sa.select(table).where(table.c.run == run).order_by(table.c.at, table.c.slot)
    return [
        RunEvent(row.event, str(json.loads(row.message)), row.at, row.last_at, row.times)
        for row in connection.execute(query)
    ]  # fmt: skip


def forget(connection: sa.Connection, ledger: Ledger, runs: Collection[int]) -> None:
    """Remove the plans and events of these runs."""
    for table in (ledger.events, ledger.plans):
        connection.execute(table.delete().where(table.c.run.in_(list(runs))))
