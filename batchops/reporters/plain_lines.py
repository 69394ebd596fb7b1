"""Plain progress lines at an interval, for logs and pipes."""

import time
from datetime import timedelta
from typing import TextIO

from batchops import durations
from batchops.events import Event, Finished, Started
from batchops.reporters import figures
from batchops.reporters.progress import Clock, Tally
from batchops.reporters.safe_streams import Lasting


class ProgressLines:
    """Writes a line when `every` has passed since the last one, as the events come; nothing at the end."""

    def __init__(self, stream: TextIO | None, every: timedelta, clock: Clock = time.monotonic) -> None:
        self._out = Lasting(stream)
        self._every = every.total_seconds()
        self._clock = clock
        self._tally = Tally(clock)
        self._last = clock()

    def __call__(self, event: Event) -> None:
        self._tally(event)
        now = self._clock()
        if isinstance(event, Started):
            self._last = now
        if isinstance(event, Started | Finished) or now - self._last < self._every:
            return
        self._last = now
        self._out.line(progress(self._tally))


def progress(tally: Tally) -> str:
    """Where a run stands, in one plain line."""
    started, batch, pause = tally.started, tally.batch, tally.pause()
    if started is None:
        return ""
    share, left, speed = tally.share(), tally.seconds_left(), tally.speed()
    said = [
        figures.counted(tally.rows, "row") + ("" if share is None else f" ({figures.percent(share)} of the way)"),
        f"{figures.count(tally.rejected)} rejected" if tally.rejected else "",
        "" if speed is None else figures.rate(speed),
        "time left unknown" if left is None else f"{durations.show(max(left, 1.0) // 1)} left",
        tally.backlog(),
        f"batch {figures.count(batch.size)} in {durations.show(batch.seconds)}" if batch else "",
        pause,
    ]
    head = f"{started.verb} {figures.visible(started.table)}: after {durations.show(tally.elapsed() // 1)}: "
    return head + ", ".join(part for part in said if part)
