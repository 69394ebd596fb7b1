"""`--events FILE`: every event as a line of JSON, for those who follow a run by program."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from batchops.errors import UsageError
from batchops.events import Event
from batchops.reporters import Warn
from batchops.reporters.document import as_json, event_values, rounded


def _now() -> datetime:
    return datetime.now(UTC)


class EventFile:
    """Appends a line per event, on its way at once; where it cannot, it warns once and the run continues.

    `job` is a recipe's name for the run, and is in each line then.
    """

    def __init__(self, path: Path, warn: Warn, now: Callable[[], datetime] = _now, job: str = "") -> None:
        self._path, self._warn, self._now = path, warn, now
        self._whose = {"job": job} if job else {}
        try:
            # Its lines hold keys of rows and errors of the database: for the owner's eyes.
            self._file: int | None = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UsageError(
                f'The events cannot be written to "{path}": {error.strerror}.',
                "give --events a file in a folder that you may write to.",
            ) from error

    def __call__(self, event: Event) -> None:
        if self._file is None:
            return
        line = (as_json(event_fields(event, self._now()) | self._whose) + "\n").encode("ascii")
        try:
            while line:
                line = line[os.write(self._file, line) :]
        except OSError as error:
            self.close()
            self._warn(f'warning: no more events are written to "{self._path}": {error.strerror}. The run continues.')

    def close(self) -> None:
        """Releases the file; later events are not written."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def event_fields(event: Event, at: datetime) -> dict[str, object]:
    """An event as its line's fields; Finished carries the fields of the `--json` document."""
    fields = event_values(event)
    stamp = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head: dict[str, object] = {"event": type(event).__name__.lower(), "at": stamp}
    return head | {name: rounded(value) for name, value in fields.items()}
