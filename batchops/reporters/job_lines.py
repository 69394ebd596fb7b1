"""JobLine and totals(): a line for the end of each job of a recipe, and one for all jobs."""

from collections import Counter
from collections.abc import Sequence
from typing import TextIO

from batchops import durations
from batchops.events import Event, Finished
from batchops.reporters import figures
from batchops.reporters.progress import Progress
from batchops.reporters.safe_streams import SafeStream
from batchops.reporters.summary import ended_line, in_one_line


class JobLine:
    """Writes one line, with the error, when the job has finished: what a log or a mail from cron should hold."""

    def __init__(self, stream: TextIO | None, name: str) -> None:
        self._out, self._name = SafeStream(stream), name
        self._progress = Progress()

    def __call__(self, event: Event) -> None:
        self._progress(event)
        if not isinstance(event, Finished):
            return
        line = f"{self._name}: {ended_line(event, self._progress)}"
        if event.error is not None:
            line += f": {figures.visible(in_one_line(event.error))}"
        self._out.line(line)


def totals(recipe: str, ends: Sequence[Finished | None], seconds: float) -> str:
    """Return one line for all jobs; the end of a job that was not run is None."""
    reasons = Counter("skipped" if end is None else end.reason for end in ends)
    counts = ", ".join(f"{number} {reason}" for reason, number in reasons.items())
    rows = sum(end.rows for end in ends if end is not None)
    jobs = figures.counted(len(ends), "job")
    return f"{figures.visible(recipe)}: {jobs}: {counts}; {figures.counted(rows, 'row')} in {durations.show(seconds)}"
