"""Retries after temporary errors: later each time, with jitter, until the timeout."""

import time
from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type

from batchops.errors import TransientError
from batchops.runtime.backoff import Backoff

T = TypeVar("T")
BACKOFF = Backoff(first=0.1, longest=10.0, jitter=1.0)


def retrying(
    seconds: float,
    attempt: Callable[[], T],
    *,
    stopped: Callable[[], bool] = lambda: False,
    on_retry: Callable[[RetryCallState], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """What `attempt` gives; its last TransientError after so many seconds, or once `stopped` says so.

    `on_retry` hears of each failure before the pause that follows it.
    """
    begun = clock()
    attempts = Retrying(
        retry=retry_if_exception_type(TransientError),
        stop=lambda _: stopped() or clock() - begun >= seconds,
        wait=lambda state: BACKOFF.pause(state.attempt_number),
        before_sleep=on_retry,
        sleep=sleep,
        reraise=True,
    )
    return attempts(attempt)
