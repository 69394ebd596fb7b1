"""Counters of attempts, rejected rows, and the states of a queue's rows; RunStats counts durable work."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from batchops.events import Rejected
from batchops.finished_details import Cause
from batchops.runtime.causes import Causes


class RejectedRows:
    """Counts a run's rejected rows and keeps the first reasons only, as a run may go on without end."""

    def __init__(self) -> None:
        self._count = 0
        self.changed = 0
        """How many of them were left alone because they had changed since they were read."""
        self.unmatched = 0
        """How many of them no longer matched once some of their children were deleted."""
        self.ruled = 0
        """Of these: rows that the job's own condition or options keep."""
        self.partial = 0
        """How many of them have lost some of their children."""
        self._causes = Causes()

    def __len__(self) -> int:
        return self._count

    def add(self, rejected: Sequence[Rejected]) -> None:
        """Count more rejected rows."""
        self._count += len(rejected)
        self.changed += sum(one.changed for one in rejected)
        self.unmatched += sum(one.unmatched for one in rejected)
        self.ruled += sum(one.ruled for one in rejected)
        self.partial += sum(one.partial for one in rejected)
        for one in rejected:
            self._causes.add(one.reason, [one.key])

    @property
    def refused(self) -> int:
        """How many of them the database refused."""
        return self._count - self.changed - self.unmatched - self.ruled

    @property
    def causes(self) -> tuple[Cause, ...]:
        """The reasons, the most frequent first."""
        return self._causes.counted()


class Counters:
    """Counts by name, and the first reasons of failures; the steps of several workers add to them.

    They count attempts: also those of a batch that is retried, and those after which nothing is committed. RunStats
    counts what is durable: the loop adds each step's Outcome to it, the same for every verb.
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
        """Count failed attempts at the rows or events of these names for this reason."""
        self._causes.add(reason, names)

    @property
    def causes(self) -> tuple[Cause, ...]:
        """The reasons, the most frequent first."""
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
    """Pending rows that a holder has claimed."""
    expired: int = 0
    """Rows of the backlog whose lease expired, as their holder's heartbeat stopped."""
    oldest: float | None = None
    """Seconds that the oldest row of the backlog has been waiting; None where no column tells."""
    next_due: float | None = None
    """Seconds until the next lease ends or the next attempt is due."""

    @property
    def pending(self) -> int:
        return self.backlog + self.waiting + self.leased
