"""Watch: the newest reading of one signal, and whether the loop has to wait for it."""

import threading
import time
from collections.abc import Callable

from batchops import durations
from batchops.db.signals import Measured
from batchops.errors import BatchopsError, TransientError
from batchops.events import ThrottleReason, UsualReason
from batchops.runtime.threads import described
from batchops.throttles.kind import ThrottleSetting

EVERY = 1.0
"""Seconds between two readings, and between two checks by a loop that waits."""
STALE = 15.0
"""Seconds without a reading after which a run waits for the next one."""
RESUME = 0.9
"""The share of the limit below which a waiting run continues."""
FIRST = 0.02
"""Seconds after which a loop first checks again for the first reading."""
Clock = Callable[[], float]


class WaitTimeout:
    """Ends a run if throttles keep it waiting, without a batch in between, for longer than the timeout."""

    def __init__(self, timeout: float, clock: Clock = time.monotonic) -> None:
        self._timeout = timeout
        self._clock = clock
        self._waiting: set[str] = set()
        self._since = 0.0
        self._guard = threading.Lock()

    def tell(self, name: str, reason: str) -> None:
        """Record why this throttle makes the run wait; "" if it does not. Raises TransientError after the timeout."""
        with self._guard:
            if not reason:
                self._waiting.discard(name)
                return
            if not self._waiting:
                self._since = self._clock()
            self._waiting.add(name)
            waited = self._clock() - self._since
        if waited >= self._timeout:
            raise TransientError(
                f"Throttled for {durations.show(waited)} without a batch: {reason}.",
                "the same command continues the run; --throttle-timeout allows a longer wait.",
            )


class Watch:
    """A throttle of a running job: one thread takes readings, and the workers call it before each batch."""

    def __init__(
        self,
        setting: ThrottleSetting,
        read: Callable[[], Measured],
        timeout: WaitTimeout,
        clock: Clock = time.monotonic,
    ) -> None:
        self.name = setting.kind.name
        self._setting = setting
        self._read = read
        self._timeout = timeout
        self._clock = clock
        self._begun = self._at = clock()
        self._measured: Measured | None = None
        self._trouble = ""
        self._waiting = False
        self._over = False
        self._beyond_stop = 0
        self._guard = threading.Lock()

    @property
    def measures(self) -> bool:
        """Whether the newest reading has a value."""
        with self._guard:
            return self._measured is not None and self._measured.value is not None

    def keep_to(self, setting: ThrottleSetting) -> None:
        """Change the limits from now on."""
        with self._guard:
            self._setting, self._beyond_stop = setting, 0
            self._waiting = self._measured is not None and self._holds(self._measured)

    def end(self) -> None:
        """Switch the throttle off: it never makes the run wait again."""
        with self._guard:
            self._over = True
            self._timeout.tell(self.name, "")

    def look(self) -> None:
        """Take a reading; keep an error of the signal, to show it when the run waits because readings are missing."""
        try:
            measured = self._setting.worst(self._read())
        except (BatchopsError, OSError) as error:
            with self._guard:
                self._trouble = described(error)
            return
        with self._guard:
            self._measured, self._at, self._trouble = measured, self._clock(), ""
            self._waiting = self._holds(measured)
            stop = self._setting.stop
            ends = measured.value if measured.limit is None else None
            beyond = stop is not None and ends is not None and self._setting.exceeds(ends, stop)
            self._beyond_stop = self._beyond_stop + 1 if beyond else 0

    def __call__(self) -> ThrottleReason | None:
        """Return why to wait; None to continue. Raises TransientError to end the run."""
        with self._guard:
            asks = None if self._over else self._asks()
            ended, stop = self._beyond_stop > 1, self._setting.stop
            self._timeout.tell(self.name, "" if asks is None else asks.reason)
        if ended and asks is not None and stop is not None:
            more = "less" if self._setting.kind.below else "more"
            beyond = f"{more} than stop={self._setting.kind.unit.show(stop)}"
            raise TransientError(f"{asks.reason}, {beyond}.", "run the same command again once it has come down.")
        return asks

    def _asks(self) -> ThrottleReason | None:
        now = self._clock()
        if self._measured is None and now - self._begun < STALE:
            soon = min(EVERY, max(FIRST, (now - self._begun) / 2))
            return UsualReason(f"{self.name}: waiting for the first reading", soon)
        if now - self._at >= STALE:
            why = f": {self._trouble.rstrip('.')}" if self._trouble else ""
            reason = f"{self.name}: no reading for {durations.show(now - self._at)}{why}"
            return ThrottleReason(reason, EVERY, self.name, limit=self._setting.limit)
        if not self._waiting or self._measured is None:
            return None
        value = self._measured.value
        limit = self._setting.limit_of(self._measured)
        return ThrottleReason(self._setting.reading(self._measured), EVERY, self.name, value, limit)

    def _holds(self, measured: Measured) -> bool:
        setting, value, limit = self._setting, measured.value, self._setting.limit_of(measured)
        if measured.reason:
            return True
        if value is None or limit is None:
            return False
        return setting.exceeds(value, limit) or (self._waiting and setting.stays(value, limit, RESUME))
