"""The one policy by which work is retried after temporary errors: later each time, with jitter, until the timeout."""

import time
from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type

from batchops.errors import TransientError
from batchops.runtime.backoff import Backoff

T = TypeVar("T")
BACKOFF = Backoff(first=0.1, longest=10.0, jitter=1.0)
"""Between two attempts at a batch; between those at a row or event: `backoff.RetryPolicy`."""


def retrying(
    seconds: float,
    attempt: Callable[[], T],
    *,
    stopped: Callable[[], bool] = lambda: False,
    at_once: Callable[[TransientError], bool] = lambda _: False,
    on_retry: Callable[[TransientError, int, float], None] = lambda *_: None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """What `attempt` gives; its last TransientError after so many seconds, or once `stopped` says so.

    `at_once`: after which errors it is tried again without a pause, whatever the time; it sees to an end of that.
    `on_retry` hears of each failure, how often it was tried, and the pause that follows.
    """
    begun, pauses = clock(), 0

    def pause(state: RetryCallState) -> float:
        nonlocal pauses
        if at_once(_error(state)):
            return 0.0
        pauses += 1
        return BACKOFF.pause(pauses)

    def stop(state: RetryCallState) -> bool:
        return not at_once(_error(state)) and (stopped() or clock() - begun >= seconds)

    def failed(state: RetryCallState) -> None:
        on_retry(_error(state), max(1, pauses), state.upcoming_sleep)

    attempts = Retrying(
        retry=retry_if_exception_type(TransientError),
        stop=stop,
        wait=pause,
        before_sleep=failed,
        sleep=lambda seconds: sleep(seconds) if seconds else None,
        reraise=True,
    )
    return attempts(attempt)


def _error(state: RetryCallState) -> TransientError:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, TransientError)  # no other is retried
    return error
