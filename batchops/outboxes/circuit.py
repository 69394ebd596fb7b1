"""What keeps a relay from asking a destination again and again that is down."""

import random
import time
from collections.abc import Callable

from batchops.errors import TransientError

FIRST, LONGEST = 0.2, 15.0
"""Seconds between two probes, at first and at the most."""


class Circuit:
    """Opens when the destination fails, and lets a probe through after a while; longer each time."""

    def __init__(
        self, patience: float | None, clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:  # fmt: skip
        """`patience`: seconds after which it is given up on; None: never."""
        self._patience = patience
        self._clock = clock
        self._draw = draw
        self._reason = ""
        self._in_doubt = False
        self._since = self._until = 0.0
        self._failures = 0

    @property
    def probing(self) -> bool:
        """Whether the next thing sent is to find out whether the destination is back: little will do."""
        return self._failures > 0 and not self._in_doubt

    @property
    def down(self) -> str | None:
        """Why the destination counts as down; None where it does not."""
        return self._reason if self._failures else None

    def trip(self, reason: str) -> None:
        """The destination failed."""
        now = self._clock()
        if not self._failures:
            self._since = now
        pause = min(LONGEST, FIRST * 2.0 ** min(self._failures, 20)) * (0.75 + 0.25 * self._draw())
        self._failures += 1
        self._reason, self._until, self._in_doubt = reason, now + pause, False

    def doubt(self) -> None:
        """What was sent to find out was refused, be it by its own fault: more, sent at once, will tell."""
        self._in_doubt = True

    def close(self) -> None:
        """It works again."""
        self._failures, self._in_doubt = 0, False

    def hold(self) -> tuple[str, float] | None:
        """Why and how long to wait; TransientError once patience is over."""
        now = self._clock()
        if not self._failures or now >= self._until:
            return None
        if self._patience is not None and now - self._since >= self._patience:
            raise TransientError(
                f"The destination is down: {self._reason.rstrip('.')}.",
                "nothing was marked that it did not acknowledge; run the same command again once it is back.",
            )
        return f"the destination is down: {self._reason}", self._until - now
