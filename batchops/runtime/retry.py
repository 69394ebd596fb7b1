"""retrying(): retries work after temporary errors, with growing pauses and jitter, until the timeout."""

import time
from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type

from batchops.errors import TransientError
from batchops.runtime.backoff import Backoff

T = TypeVar("T")
BACKOFF = Backoff(first=0.1, longest=10.0, jitter=1.0)
"""The pauses between two attempts at a batch; for a row or event see `backoff.RetryPolicy`."""


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
    """Return the result of `attempt`; raise its last TransientError after so many seconds, or once `stopped` is true.

    `at_once`: for which errors to try again without a pause, also after the timeout; it must return False in the end.
    `on_retry` is called with each error, the number of attempts, and the pause that follows.
    """
    begun, pauses = clock(), 0
    try:
        return attempt()  # nearly always: to set up what follows takes as long as much of a batch
    except TransientError as error:
        first = [error]

    def next_attempt() -> T:
        if first:
            raise first.pop()
        return attempt()

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
    return attempts(next_attempt)


def _error(state: RetryCallState) -> TransientError:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, TransientError)  # no other error is retried
    return error
