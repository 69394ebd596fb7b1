"""What each run of a budget may do, and who still shares it."""

import pytest

from batchops.budget.shares import LEASE, Budgets, Limits, Member, Share, share_of
from batchops.budget.sharing import CERTAIN, SharedBudget
from batchops.db.database import connect
from batchops.db.urls import address
from batchops.errors import UsageError
from batchops.runtime.live_settings import LiveSettings, WorkerCount
from batchops.runtime.loop import RunStats
from batchops.runtime.pacing import Pacing
from tests.clock import Clock
from tests.services.database import Database


def members(number: int) -> tuple[Member, ...]:
    return tuple(Member(f"m{n}", "purge t", "ann", "host", n, 4) for n in range(number))


@pytest.mark.parametrize(
    ("limits", "runs", "shares"),
    [
        (Limits(900, None), 1, [(900, None)]),
        (Limits(900, None), 3, [(300, None)] * 3),
        (Limits(None, 4), 3, [(None, 2), (None, 1), (None, 1)]),
        (Limits(900, 2), 3, [(450, 1), (450, 1), (450, 0)]),
        (Limits(900, 8), 2, [(450, 4), (450, 4)]),
    ],
)
def test_shares_are_alike_and_the_first_come_work_first(
    limits: Limits, runs: int, shares: list[tuple[float | None, int | None]]
) -> None:
    some = members(runs)
    found = [share_of(limits, some, one.token) for one in some]
    assert [(share.rate, share.workers) for share in found] == shares
    assert {share.runs for share in found} == {runs}


@pytest.mark.in_turn
def test_who_does_not_renew_is_dropped(database: Database) -> None:
    budgets = Budgets(connect(address(database.url, {})))
    budgets.define("nightly", Limits(900, None))
    first, second = members(2)
    assert budgets.renew("nightly", first) == Share(900, None, 1)
    assert budgets.renew("nightly", second) == Share(450, None, 2)
    assert budgets.members("nightly") == (first, second)
    database.execute("UPDATE batchops_budget_share SET lease_until = lease_until - 11 WHERE token = 'm0'")
    assert budgets.members("nightly") == (second,)
    assert budgets.renew("nightly", second) == Share(900, None, 1)
    assert budgets.renew("nightly", first) == Share(450, None, 2)
    budgets.leave("nightly", second)
    assert budgets.members("nightly") == (first,)
    budgets.define("nightly", Limits(100, 1))
    assert budgets.renew("nightly", first) == Share(100, 1, 1)
    with pytest.raises(UsageError, match='no budget "other"'):
        budgets.limits("other")
    budgets.database.close()


class Shared:
    """A shared budget by a fake clock; `share` is what the next renewal gives."""

    def __init__(self, share: Share, workers: int = 4) -> None:
        self.clock, self.share, self.stats = Clock(), share, RunStats()
        self.live = LiveSettings(pacing=Pacing(), workers=WorkerCount(workers))
        self.budget = SharedBudget("nightly", lambda: self.share, self.live, self.stats, self.clock)

    def asks(self) -> tuple[float, str] | None:
        found = self.budget()
        return None if found is None else (round(found.seconds, 3), found.reason)


def test_a_run_keeps_to_its_share() -> None:
    shared = Shared(Share(100, None, 3))
    shared.budget.renew()
    assert shared.asks() is None
    assert shared.live.pacing.size().rows == 100
    shared.stats.rows = 50
    assert shared.asks() == (0.5, "budget nightly: 100 rows/s of 3 runs")
    shared.clock.now += 0.5
    shared.share = Share(300, None, 1)
    shared.budget.renew()
    assert shared.asks() is None
    shared.stats.rows = 350
    assert shared.asks() == (1.0, "budget nightly: 300 rows/s of 1 runs")


def test_a_run_without_a_worker_waits_and_has_its_own_again() -> None:
    shared = Shared(Share(None, 0, 3))
    shared.budget.renew()
    assert shared.asks() == (1.0, "budget nightly: 3 runs have its workers")
    shared.share = Share(None, 2, 2)
    shared.budget.renew()
    assert (shared.asks(), shared.live.workers.wanted) == (None, 2)
    shared.share = Share(None, 9, 1)
    shared.budget.renew()
    assert shared.live.workers.wanted == 4  # never more than it was told


def test_a_run_waits_once_its_lease_may_have_ended() -> None:
    shared = Shared(Share(None, None, 1))
    shared.budget.renew()
    shared.clock.now += CERTAIN * LEASE - 0.1
    assert shared.asks() is None
    shared.clock.now += 0.2
    asks = shared.asks()
    assert asks is not None
    assert asks[1] == "budget nightly: its database has not answered for 8.1 s"
    shared.budget.renew()
    assert shared.asks() is None
