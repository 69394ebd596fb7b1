"""EventFile: writes every event as a line of JSON to the file of `--events FILE`, for programs that follow a run."""

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
    """Appends a line for each event at once; if that fails, it warns once and the run continues.

    `job`: the name of the recipe's job, which is then in each line.
    """

    def __init__(self, path: Path, warn: Warn, now: Callable[[], datetime] = _now, job: str = "") -> None:
        self._path, self._warn, self._now = path, warn, now
        self._whose = {"job": job} if job else {}
        try:
            # Only the owner may read the file: its lines hold keys of rows and errors of the database.
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
        """Close the file; later events are not written."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def event_fields(event: Event, at: datetime) -> dict[str, object]:
    """Return an event as the fields of its line; for Finished those of the `--json` document."""
    fields = event_values(event)
    stamp = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head: dict[str, object] = {"event": type(event).__name__.lower(), "at": stamp}
    return head | {name: rounded(value) for name, value in fields.items()}
