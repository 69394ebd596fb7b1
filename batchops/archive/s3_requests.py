"""Waits for requests to a store. The client cannot cut one off, so each has a thread of its own to hang in."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

from batchops.errors import CutShortError

T = TypeVar("T")
LAST_SECONDS = 2.0
"""How long a request is still waited for once the run gives up waiting: it may still record what was done."""
_LOOK = 0.2


class Requests:
    """Waits for one request at a time in each thread; Ctrl-C interrupts the wait, but not the request."""

    def __init__(self) -> None:
        self.given_up: Callable[[], bool] = lambda: False
        """Whether the run's grace period is over."""

    def answer(self, request: Callable[[], T]) -> T:
        """Return what the request returns, or raise its error; CutShortError if the run gives up waiting."""
        answer: Future[T] = Future()
        threading.Thread(target=_send, args=(request, answer), name="batchops-request", daemon=True).start()
        until: float | None = None
        while not wait((answer,), _LOOK).done:
            if until is None and self.given_up():
                until = time.monotonic() + LAST_SECONDS
            if until is not None and time.monotonic() >= until:
                raise CutShortError("The store did not answer within the grace period.")
        return answer.result()


def _send(request: Callable[[], T], answer: "Future[T]") -> None:
    try:
        answer.set_result(request())
    except BaseException as error:  # noqa: BLE001  raised again in the thread that waits
        answer.set_exception(error)
