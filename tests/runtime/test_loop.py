"""The loop by a clock of its own: rests, limits, holds, temporary errors and stops, without a database."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import Any

import pytest

from batchops.errors import BatchopsError, LockTimeoutError, TimedOutError, TransientError
from batchops.events import IDLE, PAUSE, SLEEP, Committed, Event, Retried, Throttled, ThrottleReason, Warned
from batchops.runtime.batch_size import Size
from batchops.runtime.budget import Budget
from batchops.runtime.ending import Ending
from batchops.runtime.limits import Limits, Window
from batchops.runtime.live_settings import LiveSettings, Sleep, WorkerCount
from batchops.runtime.loop import LoopSettings, RunStats, run
from batchops.runtime.outcome import Outcome
from batchops.runtime.pacing import Pacing
from batchops.runtime.rate import RateLimit
from tests.clock import Clock, ClockedStop

BATCH = 0.05
"""Seconds that a batch takes."""
Answer = Outcome | BaseException | None


class Scene:
    """A job whose step gives, or raises, one answer after the other; at last there is nothing left."""

    def __init__(self, answers: Iterable[Answer], stop_at: float | None = None, sleep: float = 0.0, **job: Any) -> None:
        self.clock, self.events, self.tally = Clock(), list[Event](), RunStats()
        self.begun = self.clock.now
        self.stop = ClockedStop(self.clock, None if stop_at is None else self.begun + stop_at)
        self.sizes: list[Size] = []
        self._answers: Iterator[Answer] = iter(answers)
        self._job = {"pacing": Pacing(fixed=100), "sleep": Sleep(sleep)} | job

    def __call__(self) -> Ending:
        return run(LoopSettings(step=self._step, **self._job), self.events.append, self.stop, self.tally, self.clock)

    def heard(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def took(self) -> float:
        return self.clock.now - self.begun

    def _step(self, size: Size) -> Outcome | None:
        self.sizes.append(size)
        self.clock.now += BATCH
        answer = next(self._answers, None)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def rows(number: int = 100) -> Outcome:
    return Outcome(rows=number, read=number)


def test_a_sleep_after_each_batch_and_its_account() -> None:
    scene = Scene([rows()] * 3, sleep=2.0)
    assert scene() == Ending("done", 0)
    assert scene.clock.slept == [2.0] * 3
    assert (scene.tally.rows, scene.tally.batches, scene.tally.throttled_seconds) == (300, 3, 6.0)
    assert scene.tally.seconds == pytest.approx(6.0 + 4 * BATCH)
    assert [event.reason for event in scene.heard(Throttled)] == [SLEEP] * 3
    assert [event.rows for event in scene.heard(Committed)] == [100] * 3


def test_nothing_is_waited_for_after_the_last_batch() -> None:
    """Neither the pause nor what the rate asks for; the workers' shares are waited for as before."""
    scene = Scene([rows(), replace(rows(), last=True)], sleep=2.0)
    scene._job["rate"] = RateLimit(10.0, "max-rate", "10/s", scene.clock)
    assert scene() == Ending("done", 0)
    assert scene.tally.rows == 200
    assert scene.clock.slept == [2.0, pytest.approx(8.0 - BATCH)]


@pytest.mark.parametrize("limits", [lambda: Limits(batches=Budget(2)), lambda: Limits(rows=Budget(200))])
def test_nothing_is_waited_for_once_a_limit_is_reached(limits: Callable[[], Limits]) -> None:
    scene = Scene([rows()] * 50, sleep=2.0, limits=limits())
    scene._job["rate"] = RateLimit(10.0, "max-rate", "10/s", scene.clock)
    assert scene().exit == 0
    assert scene.tally.rows == 200
    assert scene.clock.slept == [2.0, pytest.approx(8.0 - BATCH)]


@pytest.mark.parametrize(
    ("limits", "reason", "batches"),
    [
        (lambda: Limits(batches=Budget(2)), "max-batches", 2),
        (lambda: Limits(seconds=5.0), "max-time", 3),
        (lambda: Limits(rows=Budget(100)), "max-rows", 1),
    ],
)
def test_a_limit_ends_it(limits: Callable[[], Limits], reason: str, batches: int) -> None:
    scene = Scene([rows()] * 50, sleep=2.0, limits=limits())
    assert scene() == Ending(reason, 0)
    assert scene.tally.batches == batches


def test_the_window_s_end_ends_it_between_batches() -> None:
    scene = Scene([rows()] * 50, sleep=600.0)
    night = Window(time(22), time(6))

    def wall() -> datetime:
        hours, rest = divmod(5.5 * 3600 + scene.took, 3600)
        return datetime(2026, 1, 1, int(hours), int(rest // 60))

    scene._job["limits"] = Limits(window=night, wall=wall)
    assert scene() == Ending("window", 0)
    assert scene.tally.batches == 3


def closed_until(scene: Scene, opens: time, wait: bool) -> Limits:
    """Three in the afternoon, and the clock of the scene."""
    begun = datetime(2026, 1, 1, 15)
    window = Window(opens, time(6))
    return Limits(window=window, wait=wait, wall=lambda: begun + timedelta(seconds=scene.took))


def test_a_window_that_is_closed_says_when_it_opens() -> None:
    scene = Scene([rows()] * 3)
    scene._job["limits"] = closed_until(scene, time(22), wait=False)
    assert scene() == Ending("window", 0)
    assert scene.tally.batches == 0
    assert "opens at 2026-01-01 22:00 (--wait)" in scene.heard(Warned)[0].message


def test_a_window_that_is_closed_may_be_waited_for() -> None:
    scene = Scene([rows()] * 3)
    scene._job["limits"] = closed_until(scene, time(15, 30), wait=True)
    assert scene().reason == "done"
    assert scene.tally.batches == 3
    assert sum(event.seconds for event in scene.heard(Throttled) if event.reason == "window") == pytest.approx(1800)


def test_what_asks_to_wait_is_asked_again_before_each_batch() -> None:
    late, less = ThrottleReason("behind", 3.0), ThrottleReason("behind", 1.0)
    answers = iter([late, late, None, less, None, None])
    scene = Scene([rows()] * 2, throttles=(lambda: next(answers),))
    assert scene().reason == "done"
    assert [(event.reason, event.seconds) for event in scene.heard(Throttled)] == [("behind", 3.0)] * 2 + [
        ("behind", 1.0)
    ]
    assert scene.tally.throttled_seconds == 7.0


def test_all_reasons_are_told_and_the_longest_is_waited_for() -> None:
    lag = ThrottleReason("replica-lag: 12 s behind, more than 10 s", 1.0, "replica-lag", 12.0, 10.0)
    paused = ThrottleReason("paused by ann", 2.0)
    answers = iter([(lag, paused), (None, paused), (None, None), (None, None)])
    now: tuple[ThrottleReason | None, ...] = ()

    def first() -> ThrottleReason | None:
        nonlocal now
        now = next(answers)
        return now[0]

    scene = Scene([rows()], throttles=(first, lambda: now[1]))
    assert scene().reason == "done"
    told = [(event.reason, event.seconds, event.reasons) for event in scene.heard(Throttled)]
    both = "replica-lag: 12 s behind, more than 10 s; paused by ann"
    assert told == [(both, 2.0, (lag, paused)), ("paused by ann", 2.0, (paused,))]


def test_a_throttle_that_raises_ends_the_run_and_a_stop_ends_a_wait() -> None:
    def gone() -> ThrottleReason | None:
        raise TransientError("it never recovers")

    assert Scene([rows()], throttles=(gone,))().reason == "busy"
    scene = Scene([rows()], stop_at=5.0, throttles=(lambda: ThrottleReason("paused", 3600.0),))
    assert (scene().reason, scene.took) == ("signal", 5.0)


def test_a_passing_error_is_tried_again_later_and_smaller() -> None:
    scene = Scene([TransientError("gone"), TransientError("gone"), rows()])
    assert scene().reason == "done"
    assert [event.attempt for event in scene.heard(Retried)] == [1, 2]
    assert [size.rows for size in scene.sizes[:3]] == [100, 50, 25]
    assert (scene.tally.retries, scene.tally.rows) == (2, 100)


def test_the_retry_timeout_ends_and_it_says_try_later() -> None:
    scene = Scene([TransientError("gone")] * 10_000, retry_timeout=60.0)
    ending = scene()
    assert (ending.reason, ending.exit) == ("busy", 75)
    assert 60.0 <= scene.took < 75.0


def test_another_error_ends_it_at_once() -> None:
    scene = Scene([rows(), BatchopsError("odd")])
    ending = scene()
    assert (ending.reason, ending.exit, scene.tally.rows, scene.clock.slept) == ("failed", 1, 100, [])


def test_locked_rows_are_left_for_later_once_they_were_waited_for_in_vain() -> None:
    """Of so many rows as before: it is no fault of their number."""
    scene = Scene([LockTimeoutError("held"), rows(97), LockTimeoutError("held"), LockTimeoutError("table"), rows(97)])
    assert scene().reason == "done"
    assert [(size.skip_locked, size.rows) for size in scene.sizes[:5]] == [
        (False, 100), (True, 100), (False, 100), (True, 100), (True, 50),
    ]  # fmt: skip


def test_a_batch_that_takes_too_long_is_halved_without_a_pause_down_to_one_row() -> None:
    scene = Scene([TimedOutError("long")] * 7 + [rows(1)])
    assert scene().reason == "done"
    assert [size.rows for size in scene.sizes[:8]] == [100, 50, 25, 12, 6, 3, 2, 1]
    assert scene.clock.slept == []


def test_a_stop_ends_a_sleep_and_a_retry() -> None:
    resting = Scene([rows()] * 3, stop_at=10.0, sleep=60.0)
    assert resting() == Ending("signal", 143)
    assert (resting.tally.batches, resting.took) == (1, pytest.approx(10.0))
    retrying = Scene([TransientError("gone")] * 1_000, stop_at=10.0)
    assert retrying() == Ending("signal", 143)
    assert retrying.took == pytest.approx(10.0, abs=2 * BATCH)


def test_idle_it_looks_again_and_takes_up_what_came() -> None:
    looks = iter([5.0, 7.0, None])
    scene = Scene([rows(), None, rows(), None, None], idle=lambda: next(looks))
    assert scene().reason == "done"
    assert [(event.reason, event.seconds) for event in scene.heard(Throttled)] == [(IDLE, 5.0), (IDLE, 7.0)]
    assert scene.tally.rows == 200


def test_settings_that_change_are_those_of_the_next_batch() -> None:
    pacing = Pacing(fixed=100)
    live = LiveSettings(pacing, Limits(), Sleep(2.0))
    scene = Scene([rows()] * 20, pacing=pacing, limits=live.limits)
    scene._job["sleep"] = live.sleep
    changes = iter(({"batch_size": 40}, {"sleep": 7.0}, {"max_rows": 500}))
    scene._job["between"] = lambda: live.change(next(changes, {}))
    assert scene() == Ending("max-rows", 0)
    assert [size.rows for size in scene.sizes[:3]] == [100, 40, 40]
    assert scene.clock.slept[:3] == [2.0, 7.0, 7.0]
    assert scene.tally.rows == 500


def test_the_same_settings_again_change_nothing() -> None:
    live = LiveSettings()
    assert live.change({"sleep": 1.0, "workers": 3})
    assert not live.change({"sleep": 1.0, "workers": 3})
    assert live.change({"sleep": 0.0, "workers": 3})
    assert (live.sleep.seconds, live.workers.wanted) == (0.0, 3)


def test_a_target_lets_the_size_adapt_again() -> None:
    live = LiveSettings(Pacing(fixed=100))
    live.change({"target_time": 1.0, "batch_size": None})
    assert (live.pacing.fixed, live.pacing.target) == (None, 1.0)
    live.change({"target_time": 1.0, "batch_size": 7})
    assert (live.pacing.fixed, live.pacing.size().rows) == (7, 7)


def test_a_loop_that_is_one_too_many_ends() -> None:
    count = WorkerCount(2)
    with count.starting(lambda: None):
        assert not count.surplus()
        count.change(1)
        assert [count.surplus(), count.surplus()] == [True, False]
        count.change(2)
        assert not count.surplus()


def test_a_batch_that_failed_is_not_tried_again_while_the_run_is_paused() -> None:
    """It is tried anew once the run is resumed, with its whole time for retries."""
    error, paused = TransientError("deadlock"), [0]

    def throttle() -> ThrottleReason | None:
        paused[0] += 1
        return ThrottleReason("paused by ann", 300.0, PAUSE) if 2 <= paused[0] <= 4 else None

    scene = Scene([error, rows()], throttles=(throttle,), retry_timeout=120.0)
    assert scene() == Ending("done", 0)
    assert [event.seconds for event in scene.heard(Throttled)] == [300.0, 300.0]
    assert (len(scene.heard(Retried)), scene.tally.rows) == (1, 100)
    assert len(scene.sizes) == 3
