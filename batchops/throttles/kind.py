"""ThrottleKind: what is known of a throttle by its name; and Limits, what it is asked to keep to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from batchops.db.signals import Measured
from batchops.throttles.units import Unit


class LocalSignal(Protocol):
    """A signal that no database connection is needed for."""

    def read(self) -> Measured:
        """One reading; BatchopsError or OSError where there is none."""


@dataclass(frozen=True)
class ThrottleKind:
    """One throttle: what it measures, in which unit, and its limits where a flag names none."""

    name: str
    text: str
    """What it measures, for `batchops throttles` and the help."""
    unit: Unit
    limit: float | None = None
    """The limit where the flag names none; None: it must name one."""
    by_default: bool = False
    """Whether it is watched without a flag, where it can be read."""
    open: Callable[[], LocalSignal] | None = None
    """The signal of this host; None: the database's signal of the same name."""


@dataclass(frozen=True)
class ThrottleSetting:
    """A throttle that a run is to keep to."""

    kind: ThrottleKind
    limit: float | None
    """Above it the run waits; None: the throttle is off."""
    stop: float | None = None
    """Above it, at two readings in a row, the run ends."""
    asked: bool = True
    """Whether a flag names it; else it is a default."""

    @property
    def limits(self) -> str:
        """The limits, for people."""
        if self.limit is None:
            return "off"
        stop = "" if self.stop is None else f", stop {self.kind.unit.show(self.stop)}"
        return f"limit {self.kind.unit.show(self.limit)}{stop}"
