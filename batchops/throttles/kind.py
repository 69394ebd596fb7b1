"""ThrottleKind: what a throttle of this name measures. ThrottleSetting: its limits in a run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from batchops.db.backend import Backend
from batchops.db.signals import Measured, ServerSignal
from batchops.throttles.units import NUMBER, Unit


class LocalSignal(Protocol):
    """A signal that needs no database connection."""

    def read(self) -> Measured:
        """Return a reading; raise BatchopsError or OSError if there is none."""


@dataclass(frozen=True)
class ThrottleKind:
    """One throttle: what it measures, in which unit, and its default limit.

    With neither `local` nor `query` it reads the database's signal of the same name.
    """

    name: str
    text: str
    """What it measures, or waits for, for `batchops throttles` and the help."""
    unit: Unit = NUMBER
    limit: float | None = None
    """The limit if the flag names none; None: the flag must name one."""
    by_default: bool = False
    """Whether it is on without a flag, if it can be read."""
    of_replicas: bool = False
    """Whether it reads replicas, which --replica may name."""
    below: bool = False
    """Whether the run waits below the limit, as with free space, and not above it."""
    wakes_after: float | None = None
    """As a default it is not read before a batch has taken so many seconds."""
    flag: str = ""
    """Its own flag, if --throttle does not set it."""
    local: Callable[[str], LocalSignal] | None = None
    """Makes a signal of this host from the flag's value."""
    query: Callable[[str, Backend], ServerSignal] | None = None
    """Makes a signal that any database can read from the flag's value; raises UsageError if that is not valid."""


@dataclass(frozen=True)
class ThrottleSetting:
    """A throttle with its limits in a run."""

    kind: ThrottleKind
    limit: float | None = 0.0
    """The value above which the run waits; None: the throttle is off."""
    stop: float | None = None
    """The value above which, at two readings in a row, the run ends."""
    asked: bool = True
    """Whether a flag names the throttle; if not, it is a default."""
    argument: str = ""
    """The value of its own flag."""

    @property
    def limits(self) -> str:
        """The limits, for people."""
        return self._limits(self.limit)

    def _limits(self, limit: float | None) -> str:
        if limit is None:
            return "off"
        stop = "" if self.stop is None else f", stop {self.kind.unit.show(self.stop)}"
        return f"{'at least' if self.kind.below else 'limit'} {self.kind.unit.show(limit)}{stop}"

    def limit_of(self, measured: Measured) -> float | None:
        """Return the limit for this reading: its own, or else the throttle's."""
        return self.limit if measured.limit is None or self.limit is None else measured.limit

    def worst(self, measured: Measured) -> Measured:
        """Return the part of the reading that is furthest beyond its limit."""
        return max(measured.parts, key=lambda one: (one.value or 0.0) / (self.limit_of(one) or 1e-9), default=measured)

    def exceeds(self, value: float, limit: float) -> bool:
        """Whether the value is beyond the limit: above it, or below it for a throttle like free space."""
        return value < limit if self.kind.below else value > limit

    def stays(self, value: float, limit: float, share: float) -> bool:
        """Whether a waiting run has to wait further: it continues once the value is within `share` of the limit."""
        return value * share <= limit if self.kind.below else limit > 0 and value >= share * limit

    def reading(self, measured: Measured) -> str:
        """Return the worst value with its limit, for people: replica-lag of standby1: 12.3 s (limit 10 s)."""
        measured = self.worst(measured)
        of = f" of {measured.of}" if measured.of else ""
        if measured.reason:
            return f"{self.kind.name}: {measured.reason}"
        if measured.value is None:
            return f"{self.kind.name}: {measured.of or 'nothing to measure now'}"
        limits = "" if self.kind.flag else f" ({self._limits(self.limit_of(measured))})"
        return f"{self.kind.name}{of}: {self.kind.unit.show(measured.value)}{limits}"
