"""A run's share of a budget: a thread renews it, and the loop asks for it before each batch."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from batchops import durations
from batchops.budget.address import budget_address
from batchops.budget.shares import LEASE, Budgets, Member, Share, budgets_at, this_member
from batchops.errors import BatchopsError
from batchops.events import ThrottleReason, UsualReason
from batchops.runtime.live_settings import LiveSettings
from batchops.runtime.loop import RunStats, Throttle
from batchops.runtime.rate import RateLimit
from batchops.runtime.threads import Threads

EVERY = 1.0
"""Seconds between two renewals."""
CERTAIN = 0.8
"""The part of the lease in which it has certainly not ended, although two clocks may run at different speeds."""
NAME = "budget"


class SharedBudget:
    """A throttle for a run's newest share of a budget."""

    def __init__(
        self, name: str, renew: Callable[[], Share], live: LiveSettings, stats: RunStats,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._name, self._renew, self._live, self._stats, self._clock = name, renew, live, stats, clock
        self._wanted = live.workers.wanted
        self._share: Share | None = None
        self._renewed = clock()
        self._limit: RateLimit | None = None

    def renew(self) -> None:
        """Renew the share, and apply its rate and workers to the run."""
        before = self._clock()
        share = self._renew()
        self._renewed = before
        if share == self._share:
            return
        self._share = share
        if share.rate is None:
            self._limit = None
        elif self._limit is None:
            self._limit = RateLimit(share.rate, NAME, "", self._clock)
        else:
            self._limit.rate = share.rate
        self._live.pacing.most_rows = None if share.rate is None else max(1, round(share.rate))
        if share.workers and self._live.several:
            self._live.workers.change(min(self._wanted, share.workers))

    def __call__(self) -> ThrottleReason | None:
        """Return why the run has to wait; None if it need not."""
        silent, share, limit = self._clock() - self._renewed, self._share, self._limit
        if share is None or silent > CERTAIN * LEASE:
            return ThrottleReason(
                f"budget {self._name}: its database has not answered for {durations.show(silent)}", EVERY, NAME
            )
        if share.workers == 0:
            return ThrottleReason(f"budget {self._name}: {share.runs} runs have its workers", EVERY, NAME)
        if limit is None or (asks := limit(self._stats.changed)) is None:
            return None
        reason = f"budget {self._name}: {limit.rate:,.0f} rows/s of {share.runs} runs"
        return UsualReason(reason, min(asks.seconds, EVERY), NAME, limit=asks.limit)


def shown_budget(text: str) -> str:
    """Return a budget's name and limits for the plan; UsageError where there is no such budget."""
    address = budget_address(text)
    with budgets_at(address) as budgets:
        limits = budgets.limits(address.name)
    rate = "" if limits.rate is None else f"{limits.rate:,.6g} rows/s"
    workers = "" if limits.workers is None else f"{limits.workers} workers"
    return f"{address.name} ({', '.join(one for one in (rate, workers) if one)})"


@contextmanager
def sharing(
    text: str | None, job: str, live: LiveSettings, threads: Threads, stats: RunStats
) -> Iterator[tuple[Throttle, ...]]:
    """Share the budget that --budget names while the block runs; yield the throttles that the loop has to ask.

    `text` None: there is no budget, and no throttle.
    """
    if text is None:
        yield ()
        return
    address, member = budget_address(text), this_member(job, live.workers.wanted)
    with budgets_at(address) as budgets:
        shared = SharedBudget(address.name, lambda: budgets.renew(address.name, member), live, stats)
        shared.renew()
        try:
            with threads.repeating(NAME, EVERY, shared.renew):
                yield (shared,)
        finally:
            _leave(budgets, address.name, member)


def _leave(budgets: Budgets, name: str, member: Member) -> None:
    """Leave the budget; if that fails, the lease ends by itself after a while."""
    with suppress(BatchopsError):
        budgets.leave(name, member)
