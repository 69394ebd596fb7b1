"""What throttles did to a run, added up by their names."""

from collections.abc import Iterable

from batchops.events import ThrottleReason
from batchops.finished_details import ThrottledBy


class ThrottleTotals:
    """How long each throttle asked to wait, and for which value at the most."""

    def __init__(self) -> None:
        self._of: dict[str, ThrottledBy] = {}

    def add(self, reasons: Iterable[ThrottleReason], seconds: float) -> None:
        """One wait. What no flag names, like a destination that is down, is left out."""
        for reason in reasons:
            if reason.throttle:
                self._of[reason.throttle] = _added(self._of.get(reason.throttle), reason, seconds)

    def all(self) -> tuple[ThrottledBy, ...]:
        """Of each throttle, in the order in which they first asked."""
        return tuple(self._of.values())


def _added(before: ThrottledBy | None, reason: ThrottleReason, seconds: float) -> ThrottledBy:
    values = [value for value in (before.value if before else None, reason.value) if value is not None]
    total = seconds + (before.seconds if before else 0.0)
    return ThrottledBy(reason.throttle, total, max(values, default=None), reason.limit)
