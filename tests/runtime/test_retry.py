"""Temporary errors are asked about again: later each time, until patience is over; nothing else is."""

import pytest

from batchops.errors import BatchopsError, TimedOutError, TransientError
from batchops.runtime.retry import retrying
from tests.clock import Clock


class Asked:
    """Fails so often, then answers."""

    def __init__(self, failures: int, error: BaseException | None = None) -> None:
        self.times = 0
        self._failures, self._error = failures, error or TransientError("gone")

    def __call__(self) -> int:
        self.times += 1
        if self.times <= self._failures:
            raise self._error
        return self.times


def test_pauses_grow_up_to_a_bound() -> None:
    clock, ask = Clock(), Asked(40)
    assert retrying(1e9, ask, sleep=clock.sleep, clock=clock) == 41
    assert len(clock.slept) == 40
    assert all(pause <= min(10.0, 0.1 * 2**n) for n, pause in enumerate(clock.slept))
    assert sum(clock.slept[20:]) > 20 * sum(clock.slept[:5]) / 5


def test_the_timeout_ends_the_retries() -> None:
    clock, ask = Clock(), Asked(10_000)
    begun = clock.now
    with pytest.raises(TransientError, match="gone"):
        retrying(60.0, ask, sleep=clock.sleep, clock=clock)
    assert 60.0 <= clock.now - begun < 70.0


def test_without_a_timeout_it_tries_once() -> None:
    clock, ask = Clock(), Asked(10)
    with pytest.raises(TransientError):
        retrying(0.0, ask, sleep=clock.sleep, clock=clock)
    assert (ask.times, clock.slept) == (1, [])


def test_it_gives_up_when_asked_to_stop() -> None:
    clock, ask = Clock(), Asked(10)
    with pytest.raises(TransientError):
        retrying(60.0, ask, stopped=lambda: ask.times >= 3, sleep=clock.sleep, clock=clock)
    assert ask.times == 3


@pytest.mark.parametrize("error", [BatchopsError("odd"), ValueError("bug")])
def test_another_error_is_not_asked_about_again(error: BaseException) -> None:
    clock, ask = Clock(), Asked(10, error)
    with pytest.raises(type(error)):
        retrying(60.0, ask, sleep=clock.sleep, clock=clock)
    assert ask.times == 1


def test_what_is_tried_again_at_once_has_no_pause_and_no_timeout() -> None:
    clock, ask, heard = Clock(), Asked(5, TimedOutError("slow")), list[tuple[int, float]]()
    told = retrying(
        0.0, ask, at_once=lambda error: isinstance(error, TimedOutError),
        on_retry=lambda _, attempts, pause: heard.append((attempts, pause)), sleep=clock.sleep, clock=clock,
    )  # fmt: skip
    assert (told, clock.slept, heard) == (6, [], [(1, 0.0)] * 5)


def test_each_failure_is_told_with_its_pause() -> None:
    clock, ask, heard = Clock(), Asked(3), list[tuple[str, int, float]]()
    retrying(
        60.0, ask, on_retry=lambda error, attempts, pause: heard.append((error.message, attempts, pause)),
        sleep=clock.sleep, clock=clock,
    )  # fmt: skip
    assert heard == [("gone", attempt, pause) for attempt, pause in enumerate(clock.slept, start=1)]
