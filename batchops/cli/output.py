"""listeners(): the listeners of a run, chosen by the output flags and by whether stderr is a terminal."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Literal, TextIO

from batchops import durations
from batchops.cli.command_state import command_state, result
from batchops.cli.monitoring import open_monitoring
from batchops.errors import Exit, UsageError
from batchops.events import Emit, Event, Finished
from batchops.reporters import Warn, everyone, step_summary
from batchops.reporters.document import JsonDocument
from batchops.reporters.event_file import EventFile
from batchops.reporters.safe_streams import SafeStream
from batchops.reporters.summary import SummaryLine, SummaryParagraph, unless_well

LIMITS = frozenset({"max-rows", "max-total", "max-time", "max-batches", "window", "stopped"})


@dataclass(frozen=True)
class Output:
    """The flags that say how a run is shown."""

    dry_run: bool
    yes: bool
    as_json: bool
    events: str | None
    quiet: bool
    progress_every: str | None
    exit_code: bool
    metrics_file: str | None = None
    metrics_port: str | None = None
    ping: tuple[str, ...] = ()
    log_format: Literal["text", "json"] | None = None

    def interval(self) -> timedelta | None:
        """Return the value of --progress-every; raise UsageError if it is wrong."""
        if self.progress_every is None:
            return None
        try:
            return durations.parse(self.progress_every)
        except ValueError as error:
            raise UsageError(f"--progress-every: {error}") from None

    @property
    def watched(self) -> bool:
        """Whether stderr is a terminal."""
        return sys.stderr.isatty()

    @property
    def plan_wanted(self) -> bool:
        """Whether to show the plan before the run: not in a log that gets one line, unless a flag asks for more."""
        return (
            not self.quiet and not self.log_format and (not self.yes or self.watched or self.progress_every is not None)
        )

    def code(self, finished: Finished) -> int:
        """Return the exit code, which --exit-code may change."""
        if self.exit_code and finished.exit == Exit.DONE:
            if finished.reason in LIMITS:
                return Exit.LIMIT
            if finished.reason in ("done", "already-done") and finished.rows == 0:
                return Exit.NOTHING
        return finished.exit

    def of_process(self, listener: Emit) -> Emit:
        """Return a listener that gets the exit code of this process: --exit-code may change that of the run."""

        def receive(event: Event) -> None:
            listener(replace(event, exit=int(self.code(event))) if isinstance(event, Finished) else event)

        return receive


def note(text: str) -> None:
    """Print a line for people to stderr."""
    SafeStream(sys.stderr).line(text)


@contextmanager
def listeners(
    output: Output, ends: Sequence[Emit] | None = None, job: str = "", monitoring: Sequence[Emit] | None = None
) -> Iterator[Emit]:
    """Yield the listener of a run and close it at the end; `ends` replaces the flags' listeners for the run's end.

    `job`: the job's name in a recipe. `monitoring` replaces the listeners of the monitoring flags.
    """
    with ExitStack() as stack:
        if monitoring is None:
            monitoring = stack.enter_context(open_monitoring(output)).whole(job)
        with _people(output, ends_of(output, result()) if ends is None else ends, job, monitoring) as emit:
            yield emit


@contextmanager
def _people(output: Output, ends: Iterable[Emit], job: str, monitoring: Sequence[Emit]) -> Iterator[Emit]:
    from batchops.reporters.console import ProgressLine

    line = ProgressLine(sys.stderr) if output.watched and not output.quiet and output.log_format is None else None
    say = line.say if line else note
    events = EventFile(Path(output.events), say, job=job) if output.events else None
    alone = [] if job else [output.of_process(command_state())]  # with several jobs the command itself reports the end
    maybe = (line, *_meanwhile(output, job, say), events and output.of_process(events), *monitoring, *ends, *alone)
    receive: list[Emit] = [each for each in maybe if each is not None]
    try:
        yield everyone(receive, say)
    finally:
        if line is not None:
            line.close()
        if events is not None:
            with suppress(OSError):
                events.close()


def _meanwhile(output: Output, job: str, say: Warn) -> Iterator[Emit]:
    """Yield the listeners that write to stderr while the run works."""
    from batchops.reporters.log import Log
    from batchops.reporters.plain_lines import ProgressLines
    from batchops.reporters.warnings import Warnings

    every = output.interval()
    if output.log_format:
        yield Log(sys.stderr, output.log_format).of(job)
    elif not output.quiet:
        yield Warnings(say)
    if every and not output.quiet and not output.watched:
        yield ProgressLines(sys.stderr, every)


def ends_of(output: Output, people: TextIO) -> Iterator[Emit]:
    """Yield the listeners for the end of a run; the summary line goes to `people`, unless the document goes there."""
    yield _summary(output, people)
    if output.as_json:
        yield output.of_process(JsonDocument(result()))
    if step_summary.is_there():
        yield step_summary.StepSummary(os.environ)


def _summary(output: Output, people: TextIO) -> Emit:
    """Return the listener for the summary: a paragraph on a terminal, otherwise one line."""
    if output.watched and output.log_format is None:
        summary: Emit = SummaryParagraph(sys.stderr)
    else:
        summary = SummaryLine(sys.stderr if output.as_json else people)
    return unless_well(summary) if output.quiet else summary
