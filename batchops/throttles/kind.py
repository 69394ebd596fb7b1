"""ThrottleKind: what is known of a throttle by its name; ThrottleSetting: what a run is to keep to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from batchops.db.backend import Backend
from batchops.db.signals import Measured, ServerSignal
from batchops.throttles.units import NUMBER, Unit


class LocalSignal(Protocol):
    """A signal that no database connection is needed for."""

    def read(self) -> Measured:
        """One reading; BatchopsError or OSError where there is none."""


@dataclass(frozen=True)
class ThrottleKind:
    """One throttle: what it measures, in which unit, and its limits where a flag names none.

    With neither `local` nor `query` it is the database's signal of the same name.
    """

    name: str
    text: str
    """What it measures, or waits for, for `batchops throttles` and the help."""
    unit: Unit = NUMBER
    limit: float | None = None
    """The limit where the flag names none; None: it must name one."""
    by_default: bool = False
    """Whether it is watched without a flag, where it can be read."""
    of_replicas: bool = False
    """Whether it is about replicas, which --replica may name."""
    below: bool = False
    """Whether it waits below its limit, as with free space, and not above it."""
    wakes_after: float | None = None
    """As a default it is not watched before a batch has taken so many seconds."""
    flag: str = ""
    """The flag of its own, where --throttle does not take it."""
    local: Callable[[str], LocalSignal] | None = None
    """From the flag's value to a signal of this host."""
    query: Callable[[str, Backend], ServerSignal] | None = None
    """The same to a signal that any database can read; UsageError for what cannot be one."""


@dataclass(frozen=True)
class ThrottleSetting:
    """A throttle that a run is to keep to."""

    kind: ThrottleKind
    limit: float | None = 0.0
    """Above it the run waits; None: the throttle is off."""
    stop: float | None = None
    """Above it, at two readings in a row, the run ends."""
    asked: bool = True
    """Whether a flag names it; else it is a default."""
    argument: str = ""
    """The value of a flag of its own."""

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
        """The limit that counts for it: its own, else the throttle's."""
        return self.limit if measured.limit is None or self.limit is None else measured.limit

    def worst(self, measured: Measured) -> Measured:
        """Of several parts the one that is furthest beyond its limit."""
        return max(measured.parts, key=lambda one: (one.value or 0.0) / (self.limit_of(one) or 1e-9), default=measured)

    def exceeds(self, value: float, limit: float) -> bool:
        """Whether the value is beyond that limit."""
        return value < limit if self.kind.below else value > limit

    def stays(self, value: float, limit: float, share: float) -> bool:
        """Whether a run that waits goes on waiting: it is let go once the value is well within the limit."""
        return value * share <= limit if self.kind.below else limit > 0 and value >= share * limit

    def reading(self, measured: Measured) -> str:
        """A value with its limit: replica-lag of standby1: 12.3 s (limit 10 s)."""
        measured = self.worst(measured)
        of = f" of {measured.of}" if measured.of else ""
        if measured.reason:
            return f"{self.kind.name}: {measured.reason}"
        if measured.value is None:
            return f"{self.kind.name}: {measured.of or 'nothing to measure now'}"
        limits = "" if self.kind.flag else f" ({self._limits(self.limit_of(measured))})"
        return f"{self.kind.name}{of}: {self.kind.unit.show(measured.value)}{limits}"
