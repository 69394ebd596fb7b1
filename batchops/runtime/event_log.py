"""EventLog: keeps the events of a run that matter later; events that repeat are counted together."""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from batchops.events import Event, Maintaining, Rejected, Retried, Started, Stopping, Throttled, UsualReason, Warned
from batchops.ledger.owner import this_process
from batchops.ledger.run_events import MOST

TOGETHER = 300.0
"""Seconds within which an event is counted with an earlier one like it."""
_NUMBER = re.compile(r"\d[\d,.:]*")


@dataclass
class LoggedEvent:
    """One event, or several like it that are counted together."""

    number: int
    """The order in which they first occurred, from 0 in each process."""
    event: str
    text: str
    first: float
    """The time of the first one, by the log's clock."""
    last: float
    times: int = 1


class EventLog:
    """Receives every event of a run; keeps the last MOST that tell what failed, what the run waited for, and why."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._kept: dict[str, LoggedEvent] = {}
        """The events by the text that makes them alike, the oldest first."""
        self._changed: dict[int, LoggedEvent] = {}
        self._next = 0
        self._guard = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Keep the event if it matters later."""
        match event:
            case Started():
                here = this_process()
                how = "continues the run" if event.resumed else "begins the run"
                self.add("started", f"process {here.pid} on {here.host} {how}")
            case Throttled():
                for one in event.reasons:
                    if not isinstance(one, UsualReason):
                        self.add("throttled", one.reason, one.throttle)
            case Retried():
                self.add("retried", event.error)
            case Warned():
                self.add("warned", event.message)
            case Rejected():
                self.add("rejected", f"row {event.key}: {event.reason}", event.reason)
            case Stopping():
                self.add("stopping", "a signal asks it to stop" + (" at once" if event.hurried else ""))
            case Maintaining():
                self.add("maintaining", event.statement)
            case _:
                pass

    def add(self, event: str, text: str, alike: str = "") -> None:
        """Keep an event; events with the same `alike`, or the same text apart from numbers, are counted together."""
        key, now = f"{event} {_NUMBER.sub('#', alike or text)}", self.clock()
        with self._guard:
            found = self._kept.get(key)
            if found is not None and now - found.last <= TOGETHER:
                found.text, found.last, found.times = text, now, found.times + 1
            else:
                self._kept.pop(key, None)
                found = self._kept[key] = LoggedEvent(self._next, event, text, now, now)
                self._next += 1
                if len(self._kept) > MOST:
                    gone = self._kept.pop(next(iter(self._kept)))
                    self._changed.pop(gone.number, None)
            self._changed[found.number] = found

    def changed(self) -> list[LoggedEvent]:
        """Return the events that occurred, or occurred again, since the last call."""
        with self._guard:
            found = [*self._changed.values()]
            self._changed.clear()
        return found

    def all(self) -> list[LoggedEvent]:
        """Return all events that are kept."""
        with self._guard:
            return [*self._kept.values()]
