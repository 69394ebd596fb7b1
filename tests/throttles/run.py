"""A run in a process of its own, seen by its events: what it waits for, and how it ended."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.command import Batchops
from tests.waiting import ended, until

FIRST = "first reading"


class ThrottledRun:
    """`batchops ARGS… --events FILE --json`, started."""

    def __init__(
        self, batchops: Batchops, folder: Path, *args: object, env: Mapping[str, str] | None = None
    ) -> None:  # fmt: skip
        self._events = folder / "events"
        self._process = batchops.start(*map(str, args), "--events", self._events, "--json", env=env)

    def events(self, name: str) -> list[dict[str, Any]]:
        text = self._events.read_text() if self._events.exists() else ""
        lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return [one for one in lines if one["event"] == name]

    def reasons(self) -> list[dict[str, Any]]:
        """Why throttles have made it wait so far, but for the first reading."""
        found = [reason for one in self.events("throttled") for reason in one["reasons"]]
        return [one for one in found if FIRST not in one["reason"]]

    def until(self, state: Callable[[], object]) -> None:
        """Wait for it, as long as the run lasts."""
        until(state, self._process)

    def until_throttled(self) -> dict[str, Any]:
        """The first reason."""
        self.until(self.reasons)
        return self.reasons()[0]

    def end(self) -> dict[str, Any]:
        """The document of its end."""
        return dict(json.loads(ended(self._process).out))
