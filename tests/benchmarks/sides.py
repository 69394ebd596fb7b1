"""Sides of a comparison, run in pairs with their reference so that a noisy machine disturbs both alike."""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Timing:
    """What one side did in one go."""

    seconds: float
    rows: int
    note: str = ""

    @property
    def rate(self) -> float:
        return self.rows / self.seconds


@dataclass(frozen=True)
class Side:
    """A way to do the work on a fresh copy of the table; `pairs` caps its repetitions."""

    name: str
    run: Callable[[], Timing]
    pairs: int | None = None


@dataclass
class Measured:
    """All goes of one side, with their rates relative to the reference's go just before."""

    name: str
    timings: list[Timing] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    failure: str = ""

    def seconds(self) -> float:
        return median(timing.seconds for timing in self.timings)

    def rate(self) -> float:
        return median(timing.rate for timing in self.timings)

    def ratio(self) -> float:
        return median(self.ratios)


class SideFailedError(Exception):
    """A side did not do its work, and why; the other sides go on."""


def compare(reference: Side, sides: Iterable[Side], renew: Callable[[], None], pairs: int) -> list[Measured]:
    """Run reference, side, reference, side …, each on a fresh copy; the reference is the first result."""
    first = Measured(reference.name)
    results = [first]
    for side in sides:
        measured = Measured(side.name)
        results.append(measured)
        try:
            for number in range(min(pairs, side.pairs or pairs)):
                say(f"{side.name}: pair {number + 1}")
                first.timings.append(_fresh(reference, renew))
                measured.timings.append(_fresh(side, renew))
                measured.ratios.append(measured.timings[-1].rate / first.timings[-1].rate)
        except SideFailedError as error:
            measured.failure = str(error)
    return results


def say(text: str) -> None:
    """Progress, apart from the tables."""
    print(f"… {text}", file=sys.stderr, flush=True)


def _fresh(side: Side, renew: Callable[[], None]) -> Timing:
    renew()
    return side.run()
