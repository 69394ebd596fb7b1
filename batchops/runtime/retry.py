"""Asking again after passing errors: later each time, with jitter, until patience runs out."""

import time
from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential

from batchops.errors import TransientError

T = TypeVar("T")


def patiently(
    seconds: float,
    ask: Callable[[], T],
    *,
    given_up: Callable[[], bool] = lambda: False,
    note: Callable[[RetryCallState], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """What `ask` gives; its last TransientError after so many seconds, or once `given_up` says so.

    `note` hears of each failure before the pause that follows it.
    """
    begun = clock()
    retrying = Retrying(
        retry=retry_if_exception_type(TransientError),
        stop=lambda _: given_up() or clock() - begun >= seconds,
        wait=wait_random_exponential(multiplier=0.1, max=10),
        before_sleep=note,
        sleep=sleep,
        reraise=True,
    )
    return retrying(ask)
