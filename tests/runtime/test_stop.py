"""Stops and grace periods by a clock of the test's own."""

import threading

import pytest

from batchops.runtime.stop import Stop, grace_period
from tests.waiting import HANG


class Clock:
    """Stands still until it is put forward."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_the_grace_period_begins_when_a_stop_is_asked() -> None:
    clock = Clock()
    stop = Stop(clock)
    stop.grace = 20.0
    assert (stop.left, stop.at_once) == (None, False)
    clock.now += 500
    stop.ask("signal", 15)
    assert (stop.left, stop.at_once) == (20.0, False)
    clock.now += 15
    stop.ask("other")
    assert (stop.left, stop.reason, stop.signal) == (5.0, "signal", 15)
    clock.now += 6
    assert (stop.left, stop.at_once, stop.cut) == (-1.0, True, False)


def test_a_hurried_stop_has_no_time_left() -> None:
    clock = Clock()
    stop = Stop(clock)
    stop.hurry()
    assert stop.left is None  # nobody has asked for an end
    stop.ask("signal", 15)
    assert (stop.left, stop.at_once) == (0.0, True)
    clock.now += 3
    assert stop.left == 0.0 or stop.left == -3.0


@pytest.mark.parametrize("asked", ["grace", "hurry"])
def test_what_is_in_hand_is_cut_at_the_end_of_the_grace_period(asked: str) -> None:
    stop, cut = Stop(), threading.Event()
    with grace_period(stop, 0.05 if asked == "grace" else 3600.0, cut.set):
        assert not cut.is_set()
        stop.ask("signal", 15)
        if asked == "hurry":
            assert not cut.wait(0.1)
            stop.hurry()
        assert cut.wait(30)
    assert stop.cut


def test_what_ends_within_the_grace_period_is_not_cut() -> None:
    stop, cut = Stop(), threading.Event()
    with grace_period(stop, 3600.0, cut.set):
        stop.ask("signal", 15)
    assert not cut.is_set()
    assert not stop.cut
    assert threading.active_count() < 100


def test_a_wake_ends_the_sleeps_in_progress_and_no_later_one() -> None:
    stop, slept = Stop(), threading.Event()
    thread = threading.Thread(target=lambda: (stop.sleep(HANG), slept.set()))
    thread.start()
    while not slept.is_set():
        stop.wake()
    thread.join()
    assert not stop.asked
    stop.sleep(0.01)
