"""ProgressLines: writes plain progress lines at an interval, for logs and pipes."""

import time
from datetime import timedelta
from typing import TextIO

from batchops import durations
from batchops.events import Event, Finished, Started
from batchops.reporters import figures
from batchops.reporters.progress import Clock, Progress
from batchops.reporters.safe_streams import SafeStream


class ProgressLines:
    """Writes a line at the first event after `every` has passed since the last line; none at the end."""

    def __init__(self, stream: TextIO | None, every: timedelta, clock: Clock = time.monotonic) -> None:
        self._out = SafeStream(stream)
        self._every = every.total_seconds()
        self._clock = clock
        self._progress = Progress(clock)
        self._last = clock()

    def __call__(self, event: Event) -> None:
        self._progress(event)
        now = self._clock()
        if isinstance(event, Started):
            self._last = now
        if isinstance(event, Started | Finished) or now - self._last < self._every:
            return
        self._last = now
        self._out.line(progress_line(self._progress))


def progress_line(progress: Progress) -> str:
    """Return the progress of a run as one plain line."""
    started, batch, pause = progress.started, progress.batch, progress.pause()
    if started is None:
        return ""
    share, left, speed = progress.share(), progress.seconds_left(), progress.speed()
    parts = [
        figures.counted(progress.rows, "row") + ("" if share is None else f" ({figures.percent(share)} done)"),
        f"{figures.count(progress.rejected)} rejected" if progress.rejected else "",
        "" if speed is None else figures.rate(speed),
        "time left unknown" if left is None else f"{durations.show(max(left, 1.0) // 1)} left",
        progress.backlog(),
        f"batch {figures.count(batch.size)} in {durations.show(batch.seconds)}" if batch else "",
        pause,
    ]
    head = f"{started.verb} {figures.visible(started.table)}: after {durations.show(progress.elapsed() // 1)}: "
    return head + ", ".join(part for part in parts if part)
