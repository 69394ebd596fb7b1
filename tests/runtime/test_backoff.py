"""One backoff for all that is tried again: it doubles up to a bound, chance only shortens it."""

import pytest

from batchops.outbox import circuit_breaker
from batchops.queue import last_look
from batchops.queue.handlers import child_process
from batchops.runtime import idle, retry, wake
from batchops.runtime.backoff import LONGEST_PAUSE, Backoff, RetryPolicy
from batchops.scheduler import dispatcher

USED = {
    "batch": retry.BACKOFF,
    "broker": Backoff(circuit_breaker.FIRST_PAUSE, circuit_breaker.LONGEST_PAUSE),
    "idle": Backoff(idle.FIRST, 60.0),
    "last look": last_look.BACKOFF,
    "ledger": dispatcher.BACKOFF,
    "notifications": wake.BACKOFF,
    "program": child_process.ENDING,
    "row": RetryPolicy.starting_at(5.0, 5).backoff,
}


def test_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff(1.0, 5.0, draw=lambda: 1.0)
    assert [backoff.pause(attempt) for attempt in range(1, 6)] == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_no_number_of_attempts_is_too_large() -> None:
    assert Backoff(0.001, 60.0, draw=lambda: 1.0).pause(1_000_000) == 60.0


@pytest.mark.parametrize(("jitter", "least"), [(0.0, 8.0), (0.25, 6.0), (1.0, 0.0)])
def test_chance_takes_off_no_more_than_its_share(jitter: float, least: float) -> None:
    assert Backoff(8.0, 8.0, jitter, draw=lambda: 0.0).pause(1) == least
    assert Backoff(8.0, 8.0, jitter, draw=lambda: 1.0).pause(1) == 8.0


@pytest.mark.parametrize("backoff", USED.values(), ids=USED)
def test_every_pause_is_between_nothing_and_the_longest(backoff: Backoff) -> None:
    pauses = [backoff.pause(attempt) for attempt in (1, 2, 10, 100)]
    assert all(0.0 <= pause <= backoff.longest for pause in pauses)
    assert pauses[0] <= backoff.first


def test_a_row_is_given_up_on_at_its_last_attempt() -> None:
    policy = RetryPolicy.starting_at(1.0, max_attempts=3)
    assert [policy.used_up(attempts) for attempts in (1, 2, 3, 4)] == [False, False, True, True]
    assert 0.5 * LONGEST_PAUSE <= policy.pause(100) <= LONGEST_PAUSE
