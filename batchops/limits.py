"""What ends a run as asked: so many rows, so long, so many batches, the end of a window."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, time

from batchops.walks.part import Size


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
class Limits:
    """None: no such limit. `rows` is what is left of the run's allowance."""

    rows: int | None = None
    seconds: float | None = None
    batches: int | None = None
    window: Window | None = None
    wall: Callable[[], datetime] = datetime.now
    """The time of day, in the window's zone."""

    def reached(self, rows: int, batches: int, seconds: float) -> str | None:
        """The reason to end, after so many rows and batches and so long; None to go on."""
        if self.rows is not None and rows >= self.rows:
            return "max-rows"
        if self.batches is not None and batches >= self.batches:
            return "max-batches"
        if self.seconds is not None and seconds >= self.seconds:
            return "max-time"
        if self.window is not None and not self.window.holds(self.wall().time()):
            return "window"
        return None

    def capped(self, size: Size, rows: int) -> Size:
        """The size of the next batch under the allowance, of which `rows` are used."""
        if self.rows is None or 2 * size.rows <= self.rows - rows:
            return size
        return replace(size, rows=min(size.rows, self.rows - rows), exact=True)
