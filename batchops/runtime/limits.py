"""The limits of a run: rows, time, batches, the end of a window."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta

from batchops.runtime.batch_size import Size
from batchops.runtime.budget import Budget


@dataclass(frozen=True)
class Window:
    """Hours of the day in which a run may work; `end` before `start` reaches over midnight."""

    start: time
    end: time

    def holds(self, now: time) -> bool:
        """Whether `now` is inside."""
        if self.start <= self.end:
            return self.start <= now < self.end
        return now >= self.start or now < self.end


@dataclass(frozen=True)
class Acquired:
    """What a batch may use of the limits; None: no such limit. Nothing of one: `reason` says which."""

    rows: int | None
    total: int | None = None
    whole: bool = False
    """Whether `rows` are those of the own table alone, and `total` the rows of all tables."""

    @property
    def reason(self) -> str | None:
        if self.rows == 0:
            return "max-rows"
        return "max-total" if self.total == 0 else None

    def within(self, size: Size) -> Size:
        """The size under them."""
        if not self.whole:
            return size if self.rows is None else within(size, self.rows)
        size = replace(size, parents=self.rows)
        return size if self.total is None else within(size, self.total)


@dataclass(frozen=True)
class Limits:
    """None: no such limit."""

    rows: Budget = field(default_factory=Budget)
    """The rows that may be changed, which can be limited while the run works; of a purge with children, those of its
    own table."""
    total: Budget | None = None
    """Of a purge with children: the rows of all tables that may be changed."""
    seconds: float | None = None
    batches: Budget | None = None
    window: Window | None = None
    wait: bool = False
    """Whether to wait for the window rather than to end where it is closed at first."""
    rejected: int | None = None
    """Rows that may be refused."""
    wall: Callable[[], datetime] = datetime.now
    """The time of day, in the window's zone."""

    def closed(self) -> datetime | None:
        """When the window opens, where it is closed now."""
        now = self.wall()
        if self.window is None or self.window.holds(now.time()):
            return None
        opens = datetime.combine(now.date(), self.window.start, now.tzinfo)
        return opens if opens > now else opens + timedelta(days=1)

    def acquire(self, rows: int) -> Acquired:
        """What a batch of so many rows may use; goes back by `release`, whatever it is."""
        acquired = Acquired(self.rows.acquire(rows))
        if self.total is None or acquired.reason is not None:
            return acquired
        return replace(acquired, total=self.total.acquire(rows), whole=True)

    def release(self, acquired: Acquired, rows: int | None, total: int | None) -> None:
        """A batch used so many rows, and of all tables so many; None: it may have used all that it had."""
        self.rows.release(acquired.rows, acquired.rows or 0 if rows is None else rows)
        if self.total is not None and acquired.whole:
            self.total.release(acquired.total, acquired.total or 0 if total is None else total)

    @property
    def spent(self) -> bool:
        """Whether no row or no batch more may be done."""
        return any(budget is not None and budget.spent for budget in (self.rows, self.total, self.batches))

    def reached(self, seconds: float) -> str | None:
        """The reason to end, after so long; None to continue."""
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


REFUSED_SHARE, TRIED = 0.1, 1_000
"""The share of refused rows, of at least so many tried, from which a run is not worth going on with."""


def refused_too_often(limits: Limits, refused: int, changed: int) -> bool:
    """Whether the job's own condition or values seem to be wrong, rather than some of the rows."""
    if limits.rejected is None or not refused:
        return False
    tried = refused + changed
    return refused > limits.rejected or (tried >= TRIED and refused >= REFUSED_SHARE * tried)


def within(size: Size, acquired: int) -> Size:
    """The size under what was acquired from the budget: a plain range may change twice its aim."""
    if 2 * size.rows <= acquired:
        return size
    return replace(size, rows=min(size.rows, acquired), exact=True, cut=acquired < size.rows)
