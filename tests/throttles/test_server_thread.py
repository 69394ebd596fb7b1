"""Defaults that have nothing to measure: no thread before one is due, and no connection that is kept."""

from batchops.db.signals import Measured
from batchops.throttles.kind import ThrottleKind, ThrottleSetting
from batchops.throttles.server_thread import LOOK_AGAIN, Quiet
from batchops.throttles.watch import WaitTimeout, Watch
from tests.clock import Clock

LAG = ThrottleKind("lag", "how late a copy is", limit=10.0)


class Scene:
    """A default and what it is told."""

    def __init__(self, wakes_after: float | None) -> None:
        self.clock, self.woken, self.slowest = Clock(), 0, 0.0
        self.now = Measured(None)
        self.watch = Watch(ThrottleSetting(LAG, 10.0), lambda: self.now, WaitTimeout(60.0, self.clock), self.clock)
        self.quiet = Quiet(self.watch, wakes_after, lambda: self.slowest, self._wake, self.clock)

    def _wake(self) -> None:
        self.woken += 1

    def after(self, seconds: float) -> tuple[int, bool]:
        """How often it has asked for the thread, and whether the loop waits for it."""
        self.clock.now += seconds
        waits = self.quiet() is not None
        return self.woken, waits


def test_without_a_replica_a_look_is_due_every_ten_seconds_until_there_is_one() -> None:
    scene = Scene(wakes_after=None)
    assert scene.after(LOOK_AGAIN - 1) == (0, False)
    assert scene.after(1) == (1, False)
    scene.quiet.look()
    assert scene.after(LOOK_AGAIN - 1) == (1, False)
    assert not scene.quiet.awake
    scene.now = Measured(20.0)
    scene.clock.now += 1
    scene.quiet.look()
    assert scene.quiet.awake
    assert scene.after(0) == (1, True)


def test_one_that_watches_batches_wakes_with_the_first_slow_one() -> None:
    scene = Scene(wakes_after=0.5)
    scene.slowest = 0.4
    assert scene.after(100) == (0, False)
    scene.quiet.look()
    assert not scene.quiet.awake
    scene.slowest = 0.5
    assert scene.after(1) == (1, False)
    assert scene.quiet.awake
