"""How long recent COMMITs of this process took, of those that wait for the disk."""

import threading
import time
from collections import deque
from collections.abc import Callable

LATELY = 6.0
"""Seconds over which COMMITs are averaged."""
EXPIRES = 15.0
"""Seconds for which the last COMMIT counts where there are few: three heartbeats by the default."""
_MOST = 256


class CommitTimes:
    """The times of recent COMMITs: a Database adds them, a throttle asks for their mean."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: deque[tuple[float, float]] = deque(maxlen=_MOST)
        self._guard = threading.Lock()

    def add(self, seconds: float) -> None:
        """Record that the server answered a COMMIT after that long."""
        with self._guard:
            self._times.append((self._clock(), seconds))

    def mean(self) -> float | None:
        """Return the mean of recent COMMITs in seconds; None where there was none."""
        now = self._clock()
        with self._guard:
            lately = [seconds for at, seconds in self._times if now - at <= LATELY]
            if not lately and self._times and now - self._times[-1][0] <= EXPIRES:
                lately = [self._times[-1][1]]
        return sum(lately) / len(lately) if lately else None
