"""No thread of a run ends by an error that the run does not hear of."""

import threading
from collections.abc import Callable

import pytest

from batchops.errors import UnreachableError
from batchops.runtime.stop import Stop
from batchops.runtime.threads import Threads

ERRORS = [ValueError("x"), UnreachableError("gone"), MemoryError(), RecursionError(), SystemExit(3), GeneratorExit()]


class Ticks:
    """A wait that takes no time, and says "over" after so many."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.waited: list[float] = []

    def __call__(self, over: threading.Event, seconds: float) -> bool:
        self.waited.append(seconds)
        self.left -= 1
        return self.left < 0 or over.is_set()


def raising(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_that_ends_a_thread_ends_the_run(error: BaseException) -> None:
    stop = Stop()
    Threads(stop.fail, print).start("one", lambda: raising(error)).join()
    assert stop.asked
    assert stop.error is error


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_beside_a_block_ends_the_run(error: BaseException) -> None:
    stop = Stop()
    with Threads(stop.fail, print).alongside("one", lambda _: raising(error)):
        stop.sleep(30.0)
    assert stop.error is error


def test_a_heartbeat_outlives_errors_and_warns_once_of_each() -> None:
    stop, warned, calls, ticks = Stop(), [], [], Ticks(6)
    errors = [ValueError("a"), ValueError("a"), OSError("b"), None, RecursionError("c"), None]

    def beat() -> None:
        calls.append(1)
        if (error := errors[len(calls) - 1]) is not None:
            raise error

    threads = Threads(stop.fail, warned.append, ticks)
    with threads.repeating("heartbeat", 5.0, beat):
        assert wait_for(lambda: ticks.left < 0)
    assert len(calls) == 6
    assert ticks.waited == [5.0] * 7
    assert not stop.asked
    assert [text.partition("again: ")[2] for text in warned] == ["ValueError: a", "OSError: b", "RecursionError: c"]


def test_what_ends_the_program_ends_a_heartbeat_and_the_run() -> None:
    stop = Stop()
    with Threads(stop.fail, print, Ticks(3)).repeating("heartbeat", 1.0, lambda: raising(SystemExit(1))):
        stop.sleep(30.0)
    assert isinstance(stop.error, SystemExit)


def test_the_block_s_end_ends_the_thread() -> None:
    seen = threading.Event()
    with Threads(print, print).alongside("one", lambda over: (over.wait(), seen.set())):
        assert not seen.is_set()
    assert seen.is_set()


def test_what_one_run_asks_of_itself_reaches_no_other() -> None:
    stop = Stop()
    with stop.of_one_run() as first, stop.of_one_run() as second:
        first.ask("integrity")
        assert first.asked
        assert not (second.asked)
        assert not (stop.asked)
        stop.ask("signal", 15)
        stop.hurry()
        assert (first.reason, second.reason, second.signal) == ("integrity", "signal", 15)
        assert first.at_once
        assert second.at_once
    with stop.of_one_run() as late:
        assert (late.reason, late.signal, late.at_once) == ("signal", 15, True)


def test_an_error_counts_before_an_earlier_reason() -> None:
    stop = Stop()
    stop.ask("signal", 15)
    stop.fail(ValueError("x"))
    stop.fail(OSError("y"))
    assert isinstance(stop.error, ValueError)


def wait_for(state: Callable[[], bool]) -> bool:
    """Until it holds."""
    pause = threading.Event()
    while not state():
        pause.wait(0.005)
    return True
