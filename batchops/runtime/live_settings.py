"""LiveSettings: the settings of a run that can be changed while it works."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from batchops.runtime.limits import Limits
from batchops.runtime.pacing import Pacing


@dataclass
class Sleep:
    """The pause after each batch."""

    seconds: float = 0.0


class WorkerCount:
    """How many workers a run has; when that changes, more are started, or some end after their batch."""

    def __init__(self, wanted: int = 1) -> None:
        self.wanted = wanted
        self._running = 0
        self._start: Callable[[], None] | None = None
        self._guard = threading.RLock()

    @contextmanager
    def starting(self, start: Callable[[], None]) -> Iterator[None]:
        """Call `start` for each worker until there are as many as wanted; also when that changes in the block."""
        try:
            with self._guard:
                self._start = start
                self._fill()
            yield
        finally:
            with self._guard:
                self._start = None

    def change(self, wanted: int) -> None:
        """Set how many workers the run has from now on."""
        with self._guard:
            self.wanted = wanted
            self._fill()

    def surplus(self) -> bool:
        """Whether the worker that asks is one too many and has to end; if so, it no longer counts."""
        with self._guard:
            surplus = self._running > self.wanted
            self._running -= surplus
            return surplus

    def ended(self) -> None:
        """Count out a worker that has ended for another reason than being one too many."""
        with self._guard:
            self._running -= 1

    def _fill(self) -> None:
        while self._start is not None and self._running < self.wanted:
            self._start()
            self._running += 1


class ThrottleLimits:
    """The limits of throttles that people have set while a run works, as text by throttle name."""

    def __init__(self) -> None:
        self.wanted: dict[str, str] = {}
        self._listener: Callable[[Mapping[str, str]], None] | None = None

    @contextmanager
    def heard_by(self, listener: Callable[[Mapping[str, str]], None]) -> Iterator[None]:
        """Call `listener` with all limits at each change, until the block ends; the listener must not block."""
        self._listener = listener
        try:
            yield
        finally:
            self._listener = None

    def change(self, wanted: Mapping[str, str]) -> None:
        """Set the limits from now on."""
        self.wanted = dict(wanted)
        if self._listener is not None:
            self._listener(self.wanted)


@dataclass
class LiveSettings:
    """The settings that the workers of a run share; a change takes effect with the next batch."""

    pacing: Pacing = field(default_factory=Pacing)
    limits: Limits = field(default_factory=Limits)
    sleep: Sleep = field(default_factory=Sleep)
    workers: WorkerCount = field(default_factory=WorkerCount)
    several: bool = True
    """Whether the run may have more than one worker."""
    throttles: ThrottleLimits = field(default_factory=ThrottleLimits)

    def __post_init__(self) -> None:
        self._applied: dict[str, Any] = {}

    def change(self, settings: Mapping[str, Any]) -> bool:
        """Apply the settings that differ from those applied last; return whether any does."""
        new = {name: value for name, value in settings.items() if self._applied.get(name, _NOTHING) != value}
        self._applied |= new
        if "batch_size" in new or "target_time" in new:
            self.pacing.change(settings.get("target_time"), settings.get("batch_size", self.pacing.fixed))
        if "sleep" in new:
            self.sleep.seconds = new["sleep"]
        if "max_rows" in new:
            self.limits.rows.limit(new["max_rows"])
        if "workers" in new and self.several:
            self.workers.change(new["workers"])
        if "throttle" in new:
            self.throttles.change(new["throttle"])
        return bool(new)


_NOTHING = object()
