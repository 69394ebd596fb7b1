"""`--log-format`: a line for whatever is worth a line, as text or as JSON, on stderr."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Literal, TextIO, get_args

from batchops import durations
from batchops.events import (
    Backlog,
    Committed,
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
"""Seconds after which it is said that a fire begins late."""


def _now() -> datetime:
    return datetime.now(UTC)


class Log:
    """Writes lines; several jobs may share one."""

    def __init__(
        self, stream: TextIO | None, form: Format, now: Callable[[], datetime] = _now, least: Level = "info"
    ) -> None:
        self._out, self._form, self._now = SafeStream(stream), form, now
        self._least = LEVELS.index(least)

    def say(self, text: str) -> None:
        """A line of nobody's event."""
        level: Level = next((level for level in LEVELS if text.startswith(f"{level}: ")), "info")
        self._line(level, "", text.removeprefix(f"{level}: "), {})

    def of(self, job: str) -> Emit:
        """Who listens to that job."""
        return _JobLog(job, self._line)

    def __call__(self, event: Event) -> None:
        """Fires, whose events name their job."""
        if isinstance(event, Fired):
            level: Level = "error" if event.state == "failed" else "info"
            if event.state in ("skipped", "coalesced"):
                level = "warning"
            # Of these the end of the job's run has been told, with more of it.
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
    """Chooses what of a job's events is worth a line."""

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
            case Started() | Committed() | Throttled() | Backlog() | Fired():
                return


def fired(event: Fired) -> str:
    """What became of a fire, in words."""
    what = f"fire of {datetime.fromtimestamp(event.fire_at, UTC):%Y-%m-%dT%H:%M:%SZ}"
    if event.fires > 1:
        what = f"{counted(event.fires, 'fire')} up to that of {datetime.fromtimestamp(event.fire_at, UTC):%FT%TZ}"
    state = {"running": "begins", "queued": "waits"}.get(event.state, event.state)
    late = f" {durations.show(event.late)} late" if event.state == "running" and event.late > 1 else ""
    return f"{what} {state}{late}" + (f": {event.note}" if event.note else "")


def _event_fields(event: Event) -> dict[str, object]:
    fields = event_values(event)
    return {"event": type(event).__name__.lower()} | {name: rounded(value) for name, value in fields.items()}
