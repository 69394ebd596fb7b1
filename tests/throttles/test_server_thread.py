"""Defaults that have nothing to measure: no thread before one is due, and no connection that is kept."""

import threading
from typing import Any

from batchops.db.signals import Measured
from batchops.runtime.threads import Threads
from batchops.throttles.kind import ThrottleKind, ThrottleSetting
from batchops.throttles.server_thread import LOOK_AGAIN, Quiet, ServerThread
from batchops.throttles.watch import WaitTimeout, Watch
from tests.clock import Clock
from tests.waiting import until

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


class Connections:
    """Counts how often the connections that all threads share are closed."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1

    def cancel(self) -> None:
        pass


def test_the_thread_of_one_throttle_ends_with_it_and_closes_nothing_that_others_use() -> None:
    problems: list[Any] = []
    threads, shared = Threads(problems.append, problems.append), Connections()
    watch = Watch(ThrottleSetting(LAG, 10.0), lambda: Measured(1.0), WaitTimeout(60.0, Clock()))
    own = ServerThread("throttle-lag", threads, shared, of_one=True)  # type: ignore[arg-type]
    own.add(watch)
    with own.running():
        (thread,) = [one for one in threading.enumerate() if one.name.endswith("throttle-lag")]
        until(lambda: watch.measures)
        own.remove(watch)
        thread.join(60)
        assert (thread.is_alive(), shared.closed, problems) == (False, 0, [])
