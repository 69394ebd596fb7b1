"""Who holds the lease of each run, and whether that process is still alive."""

import json
from dataclasses import dataclass

import sqlalchemy as sa

from batchops.ledger.ledger import Ledger
from batchops.ledger.owner import Owner


@dataclass(frozen=True)
class Beat:
    """A sign of life: whose, and whether it is recent enough."""

    owner: Owner
    alive: bool


def beats_of(connection: sa.Connection, ledger: Ledger) -> dict[int, Beat]:
    """The last sign of life of each run that has not let go."""
    beats, now = ledger.beats, ledger.database.family.epoch()
    query = sa.select(beats.c.run, beats.c.owner, (beats.c.lease_until > now).label("fresh"))
    found = {}
    for row in connection.execute(query.where(beats.c.run.is_not(None))):
        owner = Owner(**json.loads(row.owner))
        found[row.run] = Beat(owner, bool(row.fresh) and not owner.gone())
    return found
