"""A call with a deadline."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

MOST_HANGING = 8
"""Calls that may hang in this process at one time; beyond that it only collects more of them."""


class DeadlinePassedError(Exception):
    """The call did not come back in time, or was given up on; it may still be running."""


class Deadline:
    """Runs calls in threads of their own: one that hangs cannot be ended, only left behind."""

    def __init__(self, seconds: float, given_up: Callable[[], bool]) -> None:
        self.seconds = seconds
        self.given_up = given_up
        self.hanging = 0

    def call(self, work: Callable[[], T]) -> T:
        """What `work` gives or raises."""
        outcome: dict[str, Any] = {}
        over = threading.Event()

        def run() -> None:
            try:
                outcome["value"] = work()
            except BaseException as error:  # noqa: BLE001  raised again by whoever waits
                outcome["error"] = error
            finally:
                over.set()

        threading.Thread(target=run, name="batchops-handler", daemon=True).start()
        self._wait(over)
        if "error" in outcome:
            raise outcome["error"]
        value: T = outcome["value"]
        return value

    def _wait(self, over: threading.Event) -> None:
        waited, slice_ = 0.0, 0.2
        while not over.wait(min(slice_, max(0.0, self.seconds - waited))):
            waited += slice_
            if waited >= self.seconds or self.given_up():
                self.hanging += 1
                raise DeadlinePassedError
