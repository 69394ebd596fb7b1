"""LeaseClock: when a lease is to be renewed. Lease: the lease of a run, so that a job has one run at a time.

A lease expires by the database's clock. It can be taken over then, or as soon as its holder's process is gone.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from batchops.errors import LockedError
from batchops.ledger.ledger import Ledger
from batchops.ledger.owner import Owner, this_process
from batchops.ledger.run import new_token

RENEWALS = 3
"""How often a lease is renewed within its length."""
CERTAIN = 0.8
"""The share of its length in which a lease cannot have expired, although two clocks may run at different speeds."""


class LeaseClock:
    """When a lease that this process holds is to be renewed, and whether it may have expired, by the process's clock.

    The time is counted from before a renewal is sent, so the lease never seems longer than it is.
    """

    def __init__(
        self, seconds: float, clock: Callable[[], float] = time.monotonic, renewed: float = -math.inf
    ) -> None:  # fmt: skip
        """`renewed`: when the lease was taken, by `clock`; without it no lease is held yet."""
        self.seconds = seconds
        self._clock = clock
        self._renewed = renewed

    @property
    def due(self) -> bool:
        """Whether it is time to renew; a little early, so that a thread that wakes early need not wait another turn."""
        return self._clock() - self._renewed >= 0.9 * self.seconds / RENEWALS

    @property
    def certain(self) -> bool:
        """Whether the lease cannot have expired since it was last renewed."""
        return self._clock() - self._renewed < CERTAIN * self.seconds

    def renew(self, renewal: Callable[[], bool]) -> bool:
        """Call `renewal`, which takes or renews the lease; return False if another holder has it by now."""
        before = self._clock()
        kept = renewal()
        self._renewed = before if kept else -math.inf
        return kept


@dataclass(frozen=True)
class Lease:
    """The lease of a job's run, with the fencing token that proves who holds it."""

    job: str
    token: str
    seconds: float


def acquire(connection: sa.Connection, ledger: Ledger, job: str, seconds: float) -> Lease:
    """Take the lease of the job without waiting; raise LockedError, which names the holder, if another run has it."""
    leases, now = ledger.leases, ledger.database.backend.own_tables.epoch()
    lease = Lease(job, new_token(), seconds)
    mine = {
        "token": lease.token, "owner": json.dumps(this_process().as_dict()), "run": None,
        "renewed_at": now, "lease_until": now + seconds,
    }  # fmt: skip
    query = sa.select(leases, (leases.c.lease_until - now).label("left")).where(leases.c.job == job)
    held = connection.execute(query.with_for_update()).mappings().first()
    if held is None:
        try:
            connection.execute(leases.insert().values(job=job, **mine))
        except sa.exc.IntegrityError as error:
            # Both processes saw no row, and the other one inserted its row first.
            raise LockedError("Another run of the same job began at this moment.", "see `batchops runs`.") from error
        return lease
    owner = Owner(**json.loads(held["owner"]))
    if owner.holds(held["left"]):
        raise LockedError(
            f"Run {held['run']} of the same job is running: process {owner.pid} of {owner.user} on {owner.host}.",
            f"wait for it, or try again in {held['left']:.0f} s if it has died.",
        )
    connection.execute(leases.update().where(leases.c.job == job).values(**mine))
    return lease


def name_run(connection: sa.Connection, ledger: Ledger, lease: Lease, run: int) -> None:
    """Write into the lease which run it is for."""
    connection.execute(_mine(ledger, lease).values(run=run))


def run_of(connection: sa.Connection, ledger: Ledger, lease: Lease) -> int | None:
    """Return the run that the lease is for; None if this process does not hold it any more."""
    leases = ledger.leases
    query = sa.select(leases.c.run).where(leases.c.job == lease.job, leases.c.token == lease.token)
    number: int | None = connection.execute(query).scalar()
    return number


def renew(ledger: Ledger, lease: Lease) -> bool:
    """Renew the lease; return False if another holder has it by now."""
    with ledger.database.transaction() as connection:
        return renew_within(connection, ledger, lease)


def renew_within(connection: sa.Connection, ledger: Ledger, lease: Lease) -> bool:
    """Renew the lease in the caller's transaction; return False if another holder has it by now."""
    now = ledger.database.backend.own_tables.epoch()
    renewal = _mine(ledger, lease).values(renewed_at=now, lease_until=now + lease.seconds)
    return connection.execute(renewal).rowcount == 1


def release(connection: sa.Connection, ledger: Ledger, lease: Lease) -> bool:
    """Release the lease; return False if another holder has it by now."""
    leases = ledger.leases
    mine = leases.delete().where(leases.c.job == lease.job, leases.c.token == lease.token)
    return connection.execute(mine).rowcount == 1


def _mine(ledger: Ledger, lease: Lease) -> sa.Update:
    leases = ledger.leases
    return leases.update().where(leases.c.job == lease.job, leases.c.token == lease.token)
