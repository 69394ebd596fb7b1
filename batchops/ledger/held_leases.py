"""Who holds the lease of each run, and whether that process is still alive."""

import json
from dataclasses import dataclass

import sqlalchemy as sa

from batchops.ledger.ledger import Ledger
from batchops.ledger.owner import Owner


@dataclass(frozen=True)
class LeaseHolder:
    """Who holds a lease, and whether it is alive."""

    owner: Owner
    alive: bool


def lease_holders(connection: sa.Connection, ledger: Ledger) -> dict[int, LeaseHolder]:
    """The lease holder of each run that has not released its lease."""
    leases, now = ledger.leases, ledger.database.backend.epoch()
    query = sa.select(leases.c.run, leases.c.owner, (leases.c.lease_until > now).label("fresh"))
    found = {}
    for row in connection.execute(query.where(leases.c.run.is_not(None))):
        owner = Owner(**json.loads(row.owner))
        found[row.run] = LeaseHolder(owner, bool(row.fresh) and not owner.gone())
    return found
