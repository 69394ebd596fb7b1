"""Limits: the limits of a run on rows, time and batches, and the window in which it may work."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta

from batchops.runtime.batch_size import Share, Size
from batchops.runtime.budget import Budget


@dataclass(frozen=True)
class Window:
    """The hours of the day in which a run may work; with `end` before `start` it includes midnight."""

    start: time
    end: time

    def holds(self, now: time) -> bool:
        """Whether `now` is inside the window."""
        if self.start <= self.end:
            return self.start <= now < self.end
        return now >= self.start or now < self.end


@dataclass(frozen=True)
class Acquired:
    """The rows that a batch may use of each limit; None: no such limit. If one is 0, `reason` names the limit."""

    rows: Share | None
    total: Share | None = None
    apart: bool = False
    """Whether `rows` counts the purged table alone, and `total` the rows of all tables."""

    @property
    def reason(self) -> str | None:
        return next((share.limit for share in (self.rows, self.total) if share is not None and not share.rows), None)

    def within(self, size: Size) -> Size:
        """Return the size, cut to the rows acquired."""
        if not self.apart:
            return size if self.rows is None else within(size, self.rows)
        size = replace(size, parents=self.rows)
        return size if self.total is None else within(size, self.total)


@dataclass(frozen=True)
class Limits:
    """The limits of a run; None: no such limit."""

    rows: Budget = field(default_factory=Budget)
    """The rows that may be changed, a limit that can change during the run; a purge's child rows do not count."""
    total: Budget | None = None
    """The rows of all tables that a purge with children may change."""
    seconds: float | None = None
    batches: Budget | None = None
    window: Window | None = None
    wait: bool = False
    """Whether to wait for the window if it is closed at the start; otherwise the run ends."""
    rejected: int | None = None
    """How many rows the database may refuse."""
    wall: Callable[[], datetime] = datetime.now
    """Returns the time of day in the window's time zone."""

    def closed(self) -> datetime | None:
        """Return when the window opens; None if it is open now."""
        now = self.wall()
        if self.window is None or self.window.holds(now.time()):
            return None
        opens = datetime.combine(now.date(), self.window.start, now.tzinfo)
        return opens if opens > now else opens + timedelta(days=1)

    def acquire(self, rows: int) -> Acquired:
        """Acquire what a batch of so many rows may use; the caller gives it back to `release`, whatever it is."""
        acquired = Acquired(_share("max-rows", self.rows, rows))
        if self.total is None or acquired.reason is not None:
            return acquired
        return replace(acquired, total=_share("max-total", self.total, rows), apart=True)

    def release(self, acquired: Acquired, rows: int | None, total: int | None) -> None:
        """Give back what a batch acquired; it used `rows`, and `total` of all tables. None: perhaps all of it."""
        _release(self.rows, acquired.rows, rows)
        if self.total is not None and acquired.apart:
            _release(self.total, acquired.total, total)

    @property
    def spent(self) -> bool:
        """Whether the run may change no further row or do no further batch."""
        return any(budget is not None and budget.spent for budget in (self.rows, self.total, self.batches))

    def reached(self, seconds: float) -> str | None:
        """Return the reason to end the run after so many seconds; None to continue."""
        if self.batches is not None and self.batches.spent:
            return "max-batches"
        if self.rows.spent:
            return "max-rows"
        if self.total is not None and self.total.spent:
            return "max-total"
        if self.seconds is not None and seconds >= self.seconds:
            return "max-time"
        if self.window is not None and not self.window.holds(self.wall().time()):
            return "window"
        return None


def _share(limit: str, budget: Budget, rows: int) -> Share | None:
    most, acquired = budget.most, budget.acquire(rows)
    return None if acquired is None else Share(limit, acquired, acquired if most is None else most)


def _release(budget: Budget, acquired: Share | None, rows: int | None) -> None:
    most = 0 if acquired is None else acquired.rows
    budget.release(most, most if rows is None else rows)


REFUSED_SHARE, TRIED = 0.1, 1_000
"""A run ends if at least this share of its rows is refused, once at least so many were tried."""


def refused_too_often(limits: Limits, refused: int, changed: int) -> bool:
    """Whether so many rows are refused that the job's condition or values seem wrong, not only some of the rows."""
    if limits.rejected is None or not refused:
        return False
    tried = refused + changed
    return refused > limits.rejected or (tried >= TRIED and refused >= REFUSED_SHARE * tried)


def within(size: Size, acquired: Share) -> Size:
    """Return the size, cut to what was acquired from the budget: a plain range may change twice its aim."""
    if 2 * size.rows <= acquired.rows:
        return size
    cut = acquired if acquired.rows < size.rows else None
    return replace(size, rows=min(size.rows, acquired.rows), exact=True, cut=cut)
