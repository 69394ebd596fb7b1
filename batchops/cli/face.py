"""Who listens to a run, by what was asked for and by whether a person watches."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TextIO

from batchops import durations
from batchops.errors import Exit, UsageError
from batchops.events import Emit, Finished
from batchops.reporters import everyone, step_summary
from batchops.reporters.document import Document
from batchops.reporters.event_file import EventFile
from batchops.reporters.streams import Lasting
from batchops.reporters.summary import SummaryLine, SummaryParagraph, unless_well

LIMITS = frozenset({"max-rows", "max-time", "max-batches", "window", "stopped"})


@dataclass(frozen=True)
class Face:
    """The flags that say how a run is shown."""

    dry_run: bool
    yes: bool
    as_json: bool
    events: str | None
    quiet: bool
    progress_every: str | None
    exit_code: bool

    def interval(self) -> timedelta | None:
        """--progress-every, or UsageError."""
        if self.progress_every is None:
            return None
        try:
            return durations.parse(self.progress_every)
        except ValueError as error:
            raise UsageError(f"--progress-every: {error}") from None

    @property
    def watched(self) -> bool:
        """Whether a person sees stderr as it is written."""
        return sys.stderr.isatty()

    @property
    def plan_wanted(self) -> bool:
        """Whether to show the plan before the run: not to a log that gets one line, unless it asks for more."""
        return not self.quiet and (not self.yes or self.watched or self.progress_every is not None)

    def code(self, finished: Finished) -> int:
        """The exit code, with --exit-code in mind."""
        if self.exit_code and finished.exit == Exit.DONE:
            if finished.reason in LIMITS:
                return Exit.LIMIT
            if finished.reason == "done" and finished.rows == 0:
                return Exit.NOTHING
        return finished.exit


def note(text: str) -> None:
    """A line for people, on stderr."""
    Lasting(sys.stderr).line(text)


@contextmanager
def listeners(face: Face, ends: Sequence[Emit] | None = None, job: str = "") -> Iterator[Emit]:
    """Everyone who listens to a run, until it is over; `ends` are told of its end instead of the face's own.

    `job` is what a recipe calls it.
    """
    from batchops.reporters.console import ProgressLine
    from batchops.reporters.lines import ProgressLines
    from batchops.reporters.warned import Warnings

    line = ProgressLine(sys.stderr) if face.watched and not face.quiet else None
    say = line.say if line else note
    events = EventFile(Path(face.events), say, job=job) if face.events else None
    every = None if line or face.quiet else face.interval()
    maybe = (
        line,
        ProgressLines(sys.stderr, every) if every else None,
        None if face.quiet else Warnings(say),
        events,
        *(ends_of(face, sys.stdout) if ends is None else ends),
    )
    hear: list[Emit] = [each for each in maybe if each is not None]
    try:
        yield everyone(hear, say)
    finally:
        if line is not None:
            line.close()
        if events is not None:
            with suppress(OSError):
                events.close()


def ends_of(face: Face, result: TextIO) -> Iterator[Emit]:
    """Who is told how a run ended; `result` gets the one line for people, unless the document stands there."""
    yield _summary(face, result)
    if face.as_json:
        yield Document(sys.stdout)
    if step_summary.is_there():
        yield step_summary.StepSummary(os.environ)


def _summary(face: Face, result: TextIO) -> Emit:
    """On a terminal a paragraph; elsewhere one line."""
    if face.watched:
        summary: Emit = SummaryParagraph(sys.stderr)
    else:
        summary = SummaryLine(sys.stderr if face.as_json else result)
    return unless_well(summary) if face.quiet else summary
