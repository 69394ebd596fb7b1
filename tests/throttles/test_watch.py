"""A watch by a clock of its own: hysteresis, readings that are missing, the limit that ends a run, timeout."""

import pytest

from batchops.db.signals import Measured
from batchops.errors import TransientError, UnreachableError
from batchops.throttles.kind import ThrottleKind, ThrottleSetting
from batchops.throttles.units import SECONDS
from batchops.throttles.watch import STALE, WaitTimeout, Watch
from tests.clock import Clock

LAG = ThrottleKind("lag", "how late a copy is", SECONDS, limit=10.0)


class Scene:
    """A signal that gives what the test says."""

    def __init__(self, limit: float = 10.0, stop: float | None = None, timeout: float = 1800.0) -> None:
        self.clock = Clock()
        self.now: Measured | Exception = Measured(0.0)
        self.watch = Watch(ThrottleSetting(LAG, limit, stop), self._read, WaitTimeout(timeout, self.clock), self.clock)

    def _read(self) -> Measured:
        if isinstance(self.now, Exception):
            raise self.now
        return self.now

    def after(self, seconds: float, now: Measured | Exception) -> str:
        """The reason to wait once the signal has given that; empty to go on."""
        self.clock.now += seconds
        self.now = now
        self.watch.look()
        asks = self.watch()
        return asks.reason if asks else ""


def test_it_waits_above_the_limit_and_goes_on_below_nine_tenths_of_it() -> None:
    scene = Scene()
    assert scene.after(1, Measured(10.0)) == ""
    assert scene.after(1, Measured(10.5, "standby1")) == "lag of standby1: 10.5 s (limit 10 s)"
    assert scene.after(1, Measured(9.5)) == "lag: 9.5 s (limit 10 s)"
    assert scene.after(1, Measured(8.9)) == ""
    assert scene.after(1, Measured(9.5)) == ""


def test_a_limit_of_none_at_all_is_left_once_the_value_is_zero() -> None:
    scene = Scene(limit=0.0)
    assert scene.after(1, Measured(1.0)) == "lag: 1 s (limit 0 s)"
    assert scene.after(1, Measured(0.0)) == ""


def test_before_the_first_reading_it_waits_a_little() -> None:
    scene = Scene()
    asks = scene.watch()
    assert asks is not None
    assert (asks.reason, asks.value) == ("lag: waiting for the first reading", None)
    assert asks.seconds < 0.1


def test_what_cannot_be_read_makes_it_wait_after_a_while_and_says_why() -> None:
    scene = Scene()
    gone = UnreachableError("the server is gone.")
    assert scene.after(1, Measured(3.0)) == ""
    assert scene.after(STALE - 1, gone) == ""
    assert scene.after(2, gone) == "lag: no reading for 16 s: the server is gone"
    assert scene.after(1, Measured(3.0)) == ""


def test_nothing_to_measure_is_no_reason_to_wait_and_a_reason_of_the_signal_is_one() -> None:
    scene = Scene()
    assert scene.after(1, Measured(None)) == ""
    assert scene.after(1, Measured(None, reason="a backup is at work")) == "lag: a backup is at work"
    assert scene.after(1, Measured(None)) == ""


def test_the_second_reading_beyond_stop_ends_the_run() -> None:
    scene = Scene(stop=60.0)
    assert "limit 10 s, stop 1 min" in scene.after(1, Measured(61.0))
    scene.after(1, Measured(59.0))
    scene.after(1, Measured(61.0))
    with pytest.raises(TransientError, match=r"lag: 1 min 02 s .*, more than stop=1 min"):
        scene.after(1, Measured(62.0))


def test_patience_ends_with_the_timeout_and_begins_anew_with_each_batch() -> None:
    scene = Scene(timeout=60.0)
    for _ in range(3):
        scene.after(1, Measured(20.0))
        scene.after(50, Measured(20.0))
        assert scene.after(1, Measured(1.0)) == ""
    scene.after(1, Measured(20.0))
    with pytest.raises(TransientError, match="Throttled for 1 min without a batch: lag: 20 s") as ended:
        scene.after(60, Measured(20.0))
    assert (ended.value.exit, "--throttle-timeout" in ended.value.hint) == (75, True)


def test_throttles_that_take_turns_share_one_timeout() -> None:
    clock = Clock()
    timeout = WaitTimeout(60.0, clock)
    timeout.tell("lag", "late")
    clock.now += 40
    timeout.tell("load", "high")
    timeout.tell("lag", "")
    clock.now += 20
    with pytest.raises(TransientError, match="high"):
        timeout.tell("load", "high")
