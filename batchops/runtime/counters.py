"""Counts of attempts, which a verb keeps beside the counts of durable work that every verb has in RunStats."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from batchops.events import Rejected
from batchops.finished_details import Cause
from batchops.runtime.causes import Causes


class RejectedRows:
    """The rows that a run has rejected: how many, and the first reasons. It may run without end."""

    def __init__(self) -> None:
        self._count = 0
        self.changed = 0
        """Of these: rows that were left alone, as they were changed since."""
        self.partial = 0
        """Of these: rows that no longer matched once some of their children were deleted."""
        self._causes = Causes()

    def __len__(self) -> int:
        return self._count

    def add(self, rejected: Sequence[Rejected]) -> None:
        """Some more."""
        self._count += len(rejected)
        self.changed += sum(one.changed for one in rejected)
        self.partial += sum(one.partial for one in rejected)
        for one in rejected:
            self._causes.add(one.reason, [one.key])

    @property
    def refused(self) -> int:
        """How many the database refused."""
        return self._count - self.changed - self.partial

    @property
    def causes(self) -> tuple[Cause, ...]:
        """The reasons, the commonest first."""
        return self._causes.counted()


class Counters:
    """Counts by name, and the first reasons of failures, added by the steps of several workers.

    They count attempts, as a step makes them: also those of a batch that is retried, and those after which nothing is
    committed. RunStats counts what is durable: the loop adds each step's Outcome to it, the same for every verb.
    """

    def __init__(self, *names: str) -> None:
        self._counts: dict[str, int] = dict.fromkeys(names, 0)
        self._causes = Causes()
        self._guard = threading.Lock()

    def add(self, **counts: int) -> None:
        """Add to some of the counts."""
        with self._guard:
            for name, count in counts.items():
                self._counts[name] += count

    def because(self, reason: str, names: Sequence[str]) -> None:
        """Attempts failed for this reason, at the rows or events of these names."""
        self._causes.add(reason, names)

    @property
    def causes(self) -> tuple[Cause, ...]:
        """The reasons, the commonest first."""
        return self._causes.counted()

    def __getitem__(self, name: str) -> int:
        return self._counts[name]


@dataclass(frozen=True)
class Counts:
    """A queue's rows at one moment."""

    backlog: int
    """Pending rows that anyone may claim."""
    waiting: int = 0
    """Pending rows whose next attempt is not due yet."""
    leased: int = 0
    """Pending rows in flight."""
    expired: int = 0
    """Of the backlog: rows whose holder's heartbeat stopped."""
    oldest: float | None = None
    """Seconds that the oldest of the backlog has been waiting; None where no column tells."""
    next_due: float | None = None
    """Seconds until the nearest lease ends or the nearest attempt is due."""

    @property
    def pending(self) -> int:
        return self.backlog + self.waiting + self.leased
