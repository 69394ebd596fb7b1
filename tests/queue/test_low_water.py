"""Where a claim begins: behind the last one, so that it reads little, and at the front often enough to miss nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from batchops.queue.claims import Claims
from batchops.queue.leases.row_lock import RowLocks
from batchops.queue.low_water import LOOK_SECONDS
from batchops.queue.prepare import prepare_drain
from batchops.queue.spec import DrainSpec
from tests.clock import Clock
from tests.queue.jobs import PENDING, jobs, leased
from tests.services.database import Database

ROWS = 40


@contextmanager
def claims(database: Database, place: str, clock: Clock) -> Iterator[Claims]:
    jobs(database, ROWS)
    leased(database, place)
    asked = {"table": "jobs", "where": PENDING, "done": ["status = 'done'"], "exec": "true", "url": database.url}
    with prepare_drain(DrainSpec.model_validate(asked), {}) as job:
        assert not isinstance(job.leases, RowLocks)
        yield Claims(
            job.database, job.leases, lease=60.0, attempts=3, one_by_one=False, in_order=True, clock=clock,
        )  # fmt: skip


def done(claims: Claims, rows: int) -> list[int]:
    """Claim so many and mark them as done; which those were."""
    claim = claims.claim(rows)
    if claim is None:
        return []
    keys = [row.key for row in claim.rows]
    with claims.database.transaction() as connection:
        claims.leases.ack(connection, claim.token, keys, len(keys))
    claims.finish(claim)
    return [int(key[0]) for key in keys]


@pytest.mark.wide(2)
@pytest.mark.parametrize("place", ["columns", "table"])
def test_what_becomes_free_behind_the_last_claim_is_found_after_a_look(database: Database, place: str) -> None:
    clock = Clock()
    with claims(database, place, clock) as own:
        assert done(own, 10) == [*range(1, 11)]
        database.execute("UPDATE jobs SET status = 'pending' WHERE id IN (3, 7)")
        assert done(own, 10) == [*range(11, 21)]
        clock.now += 2 * LOOK_SECONDS
        assert done(own, 5) == [*range(21, 26)]  # looks once it has claimed
        assert done(own, 10) == [3, 7, *range(26, 34)]
        assert done(own, 10) == [*range(34, 41)]
        assert done(own, 10) == []


@pytest.mark.wide(2)
@pytest.mark.parametrize("place", ["columns", "table"])
def test_what_is_free_behind_the_last_claim_is_found_before_a_drain_ends(database: Database, place: str) -> None:
    with claims(database, place, Clock()) as own:
        assert done(own, ROWS) == [*range(1, ROWS + 1)]
        database.execute("UPDATE jobs SET status = 'pending' WHERE id = 3")
        assert done(own, 10) == [3]
        assert done(own, 10) == []
