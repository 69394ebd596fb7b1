"""The circuit breaker: a relay stops sending to a destination that is down, and probes it."""

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
"""Seconds in which nobody is warned twice, however often it goes down and comes back."""


class CircuitBreaker:
    """Opens when the destination fails, and lets a probe through after a while; longer each time."""

    def __init__(
        self, timeout: float | None, clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random, warn: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """`timeout`: seconds after which it is given up on; None: never. `warn` is called when the waiting begins."""
        self._timeout = timeout
        self._clock = clock
        self._backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE, draw=draw)
        self._warn = warn
        self._reported = False
        """Whether this outage has been told of."""
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
        """Why the destination counts as down; None where it does not."""
        return self._reason if self._failures else None

    def trip(self, reason: str) -> None:
        """The destination failed."""
        now = self._clock()
        if not self._failures:
            self._since = now
        self._failures += 1
        self._until = now + self._backoff.pause(self._failures)
        self._reason, self._inconclusive = reason, False

    def trip_by_destination(self, reason: str) -> None:
        """The destination failed, independent of the events; a warning is emitted when the wait begins."""
        now = self._clock()
        if not self._reported and self._timeout != 0 and now >= self._quiet_until:
            self._reported, self._quiet_until = True, now + QUIET
            bound = "until it is back" if self._timeout is None else f"for up to {durations.show(self._timeout)}"
            self._warn(f"The destination is down: {reason.rstrip('.')}. It is tried again {bound}.")
        self.trip(reason)

    def inconclusive(self) -> None:
        """The probe was refused, perhaps by its own fault: a larger batch will show more."""
        self._inconclusive = True

    def close(self) -> None:
        """It works again."""
        self._failures, self._inconclusive, self._reported = 0, False, False

    def throttle(self) -> ThrottleReason | None:
        """Why and how long to wait; TransientError once the timeout is over."""
        now = self._clock()
        if not self._failures or now >= self._until:
            return None
        if self._timeout is not None and now - self._since >= self._timeout:
            raise TransientError(
                f"The destination is down: {self._reason.rstrip('.')}.",
                "nothing was marked that it did not acknowledge; run the same command again once it is back.",
            )
        return ThrottleReason(f"the destination is down: {self._reason}", self._until - now)
