"""Time that passes only when somebody waits: the parts of the runtime are tried without waiting."""

from batchops.runtime.stop import Stop


class Clock:
    """A clock, and a sleep by it that takes no time."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class ClockedStop(Stop):
    """A stop whose waits are the clock's; `at` a certain time somebody asks for it."""

    def __init__(self, clock: Clock, at: float | None = None) -> None:
        super().__init__()
        self._clock, self._at = clock, at

    def sleep(self, seconds: float) -> None:
        if self._at is not None and self._clock.now + seconds >= self._at:
            self._clock.sleep(self._at - self._clock.now)
            self.ask("signal", 15)
            return
        self._clock.sleep(seconds)
