"""Runs as a ledger remembers them."""

import json
from dataclasses import dataclass

import sqlalchemy as sa

from batchops.errors import RefusedError
from batchops.events import Cause
from batchops.ledger.ledger import Ledger
from batchops.ledger.owner import Owner
from batchops.ledger.rejected_rows import kept
from batchops.ledger.run import Run


@dataclass(frozen=True)
class LeaseHolder:
    """Who holds a lease, and whether it is alive."""

    owner: Owner
    alive: bool


def lease_holders(connection: sa.Connection, ledger: Ledger) -> dict[int, LeaseHolder]:
    """The lease holder of each run that has not released its lease."""
    leases, now = ledger.leases, ledger.database.backend.own_tables.epoch()
    query = sa.select(leases.c.run, leases.c.owner, (leases.c.lease_until - now).label("left"))
    found = {}
    for row in connection.execute(query.where(leases.c.run.is_not(None))):
        owner = Owner(**json.loads(row.owner))
        found[row.run] = LeaseHolder(owner, owner.holds(row.left))
    return found


@dataclass(frozen=True)
class Recorded:
    """A run and, while it is running, its lease holder."""

    run: Run
    holder: LeaseHolder | None

    @property
    def state(self) -> str:
        """As in the ledger, but "crashed" for a run that says it is running and sends no heartbeat."""
        if self.run.state == "running" and (self.holder is None or not self.holder.alive):
            return "crashed"
        return self.run.state


def load_runs(ledger: Ledger, *, table: str | None = None, number: int | None = None, limit: int = 1) -> list[Recorded]:
    """The runs, newest first; none where there is no ledger yet."""
    with ledger.database.reading() as connection:
        state = ledger.state(connection)
        if state == "older":
            raise RefusedError(
                "The ledger was created by an older version of batchops.",
                "the next run upgrades it, and so does `batchops ledger init --apply`.",
            )
        if state == "absent":
            return []
        where: list[sa.ColumnElement[bool]] = [sa.true()]
        if table is not None:
            where.append(ledger.runs.c.table_name == table)
        if number is not None:
            where.append(ledger.runs.c.run == number)
        runs = ledger.select_runs(connection, sa.and_(*where), limit=limit)
        holders = lease_holders(connection, ledger)
    return [Recorded(run, holders.get(run.run)) for run in runs]


def load_rejections(ledger: Ledger, run: int, keys: int = 3) -> list[Cause]:
    """What the run could not change, by reason, the most frequent first; of the first ten thousand rows."""
    with ledger.database.reading() as connection:
        rows = kept(connection, ledger, run)
    names: dict[str, list[str]] = {}
    for row in rows:
        names.setdefault(row.reason, []).append(row.name)
    found = [Cause(reason, len(some), tuple(some[:keys])) for reason, some in names.items()]
    return sorted(found, key=lambda one: -one.attempts)
