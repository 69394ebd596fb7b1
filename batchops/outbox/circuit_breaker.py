"""The circuit breaker: makes a relay stop sending to a destination that is down, and probe it."""

import math
import random
import time
from collections.abc import Callable

from batchops import durations
from batchops.errors import TransientError
from batchops.events import ThrottleReason
from batchops.runtime.backoff import Backoff

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 15.0
"""Seconds between two probes, at first and at the most."""
QUIET = 60.0
"""Seconds between two warnings at least, however often the destination goes down and comes back."""


class CircuitBreaker:
    """Opens when the destination fails, and allows a probe after a pause, which grows with each failure."""

    def __init__(
        self, timeout: float | None, clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random, warn: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """`timeout`: seconds of waiting for the destination; None: no limit. `warn` is called when the wait begins."""
        self._timeout = timeout
        self._clock = clock
        self._backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE, draw=draw)
        self._warn = warn
        self._reported = False
        """Whether a warning about this outage was emitted."""
        self._quiet_until = -math.inf
        self._reason = ""
        self._inconclusive = False
        self._since = self._until = 0.0
        self._failures = 0

    @property
    def probing(self) -> bool:
        """Whether the next batch is a probe, which may be small."""
        return self._failures > 0 and not self._inconclusive

    @property
    def down(self) -> str | None:
        """Return why the destination counts as down; None if it does not."""
        return self._reason if self._failures else None

    def trip(self, reason: str) -> None:
        """Open: the destination failed."""
        now = self._clock()
        if not self._failures:
            self._since = now
        self._failures += 1
        self._until = now + self._backoff.pause(self._failures)
        self._reason, self._inconclusive = reason, False

    def trip_by_destination(self, reason: str) -> None:
        """Open: the destination failed, whatever the events are. Emit a warning when the wait begins."""
        now = self._clock()
        if not self._reported and self._timeout != 0 and now >= self._quiet_until:
            self._reported, self._quiet_until = True, now + QUIET
            bound = "until it is back" if self._timeout is None else f"for up to {durations.show(self._timeout)}"
            self._warn(f"The destination is down: {reason.rstrip('.')}. It is tried again {bound}.")
        self.trip(reason)

    def inconclusive(self) -> None:
        """Note that the probe was refused, perhaps because of its event. The next batch is larger, to show more."""
        self._inconclusive = True

    def close(self) -> None:
        """Close: the destination works again."""
        self._failures, self._inconclusive, self._reported = 0, False, False

    def throttle(self) -> ThrottleReason | None:
        """Return why and how long to wait, None for no wait; raise TransientError once the timeout is over."""
        now = self._clock()
        if not self._failures or now >= self._until:
            return None
        if self._timeout is not None and now - self._since >= self._timeout:
            raise TransientError(
                f"The destination is down: {self._reason.rstrip('.')}.",
                "nothing was marked that it did not acknowledge; run the same command again once it is back.",
            )
        return ThrottleReason(f"the destination is down: {self._reason}", self._until - now)
