"""ThrottleTotals: adds up how long each throttle made a run wait."""

from collections.abc import Iterable

from batchops.events import ThrottleReason
from batchops.finished_details import ThrottledBy


class ThrottleTotals:
    """For each throttle, the seconds that the run waited for it and the highest value that it reported."""

    def __init__(self) -> None:
        self._by_name: dict[str, ThrottledBy] = {}

    def add(self, reasons: Iterable[ThrottleReason], seconds: float) -> None:
        """Add one wait to each throttle that asked for it; skip reasons without a flag, like a sink that is down."""
        for reason in reasons:
            if reason.throttle:
                self._by_name[reason.throttle] = _added(self._by_name.get(reason.throttle), reason, seconds)

    def all(self) -> tuple[ThrottledBy, ...]:
        """Return the totals of each throttle, in the order in which they first asked."""
        return tuple(self._by_name.values())


def _added(before: ThrottledBy | None, reason: ThrottleReason, seconds: float) -> ThrottledBy:
    values = [value for value in (before.value if before else None, reason.value) if value is not None]
    total = seconds + (before.seconds if before else 0.0)
    return ThrottledBy(reason.throttle, total, max(values, default=None), reason.limit)
