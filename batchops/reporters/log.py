"""Log: writes lines about the important events, as text or as JSON, to stderr, for `--log-format`."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Literal, TextIO, get_args

from batchops import durations
from batchops.events import (
    Backlog,
    Committed,
    Copied,
    Emit,
    Event,
    Finished,
    Fired,
    Maintaining,
    Rejected,
    Retried,
    Started,
    Stopping,
    Throttled,
    Warned,
)
from batchops.reporters.document import as_json, event_values, rounded
from batchops.reporters.figures import counted, visible
from batchops.reporters.progress import Progress
from batchops.reporters.safe_streams import SafeStream
from batchops.reporters.summary import ended_line, error_lines
from batchops.reporters.warnings import stopping

Format = Literal["text", "json"]
Level = Literal["info", "warning", "error"]
LEVELS: tuple[Level, ...] = get_args(Level)
LATE = 60.0
"""Seconds after which the log says that a fire begins late."""


def _now() -> datetime:
    return datetime.now(UTC)


class Log:
    """Writes lines for one or several jobs; lines below the level `least` are left out."""

    def __init__(
        self, stream: TextIO | None, form: Format, now: Callable[[], datetime] = _now, least: Level = "info"
    ) -> None:
        self._out, self._form, self._now = SafeStream(stream), form, now
        self._least = LEVELS.index(least)

    def say(self, text: str) -> None:
        """Write a line that belongs to no event; a prefix like "warning: " sets its level."""
        level: Level = next((level for level in LEVELS if text.startswith(f"{level}: ")), "info")
        self._line(level, "", text.removeprefix(f"{level}: "), {})

    def of(self, job: str) -> Emit:
        """Return the listener to the events of that job."""
        return _JobLog(job, self._line)

    def __call__(self, event: Event) -> None:
        """Write a line for a fire, whose event names its job; other events are ignored."""
        if isinstance(event, Fired):
            level: Level = "error" if event.state == "failed" else "info"
            if event.state in ("skipped", "coalesced"):
                level = "warning"
            # For these states the line about the end of the job's run says more.
            in_end = self._form == "text" and event.state in ("ran", "running", "failed", "taken over")
            text = "" if in_end else fired(event)
            if event.state == "running" and (event.note or event.late > LATE):
                text = fired(event)
            if text:
                self._line(level, event.job, text, _event_fields(event))

    def _line(self, level: Level, job: str, text: str, fields: dict[str, object]) -> None:
        if LEVELS.index(level) < self._least:
            return
        at = self._now().astimezone(UTC)
        if self._form == "json":
            head: dict[str, object] = {"at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z")}
            self._out.line(as_json(head | {"level": level, "message": text} | ({"job": job} if job else {}) | fields))
            return
        loud = f"{level}: " if level != "info" else ""
        whose = f"{visible(job)}: " if job else ""
        self._out.line(f"{at:%Y-%m-%dT%H:%M:%SZ} {loud}{whose}{visible(text)}")


class _JobLog:
    """Writes a line for each important event of a job."""

    def __init__(self, job: str, line: Callable[[Level, str, str, dict[str, object]], None]) -> None:
        self._job, self._line, self._progress = job, line, Progress()

    def __call__(self, event: Event) -> None:
        self._progress(event)
        for level, text in self._lines(event):
            self._line(level, self._job, text, _event_fields(event))
        if isinstance(event, Finished):
            self._progress = Progress()

    def _lines(self, event: Event) -> Iterator[tuple[Level, str]]:
        match event:
            case Warned():
                yield "warning", event.message
            case Stopping():
                yield "info", stopping(event)
            case Retried():
                yield "warning", f"retrying in {durations.show(event.seconds)}: {event.error}"
            case Rejected():
                yield "warning", f"row {event.key} was not changed: {event.reason}"
            case Maintaining():
                yield "info", f"{event.statement} is running"
            case Finished():
                error = "" if event.error is None else "; " + " ".join(error_lines(event.error))
                yield ("error" if event.exit else "info"), ended_line(event, self._progress) + error
            case Started() | Committed() | Throttled() | Backlog() | Fired() | Copied():
                return


def fired(event: Fired) -> str:
    """Return in words what happened to a fire."""
    what = f"fire of {datetime.fromtimestamp(event.fire_at, UTC):%Y-%m-%dT%H:%M:%SZ}"
    if event.fires > 1:
        what = f"{counted(event.fires, 'fire')} up to that of {datetime.fromtimestamp(event.fire_at, UTC):%FT%TZ}"
    state = {"running": "begins", "queued": "waits"}.get(event.state, event.state)
    late = f" {durations.show(event.late)} late" if event.state == "running" and event.late > 1 else ""
    return f"{what} {state}{late}" + (f": {event.note}" if event.note else "")


def _event_fields(event: Event) -> dict[str, object]:
    fields = event_values(event)
    return {"event": type(event).__name__.lower()} | {name: rounded(value) for name, value in fields.items()}
