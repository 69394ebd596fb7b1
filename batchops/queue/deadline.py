"""Calls a function in another thread with a deadline."""

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
Answer = tuple[Any, BaseException | None]

MOST_HANGING = 8
"""Calls that may be left hanging in this process. Beyond that, continuing would only add more."""


class DeadlinePassedError(Exception):
    """The call did not return in time, or before the run had to end. It may still be running."""


class CallThread:
    """A thread that makes one call after the other: starting a thread may take longer than a call."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        threading.Thread(target=self._run, name="batchops-handler", daemon=True).start()

    def call(self, work: Callable[[], Any]) -> SimpleQueue[Answer]:
        """Start the call, and return the queue that its answer arrives in."""
        answers: SimpleQueue[Answer] = SimpleQueue()

        def run() -> None:
            try:
                answers.put((work(), None))
            except BaseException as error:  # noqa: BLE001  raised again in the thread that waits
                answers.put((None, error))

        self._calls.put(run)
        return answers

    def end(self) -> None:
        """End the thread after the current call. A call that hangs cannot be ended: the thread ends once it returns."""
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


class Deadline:
    """Makes calls in other threads: a call that hangs cannot be ended, but it can be left behind."""

    def __init__(self, seconds: float, given_up: Callable[[], bool]) -> None:
        self.seconds = seconds
        self.given_up = given_up
        self._idle: list[CallThread] = []
        self._left_behind: list[SimpleQueue[Answer]] = []
        """The queues of calls that took too long. Once such a call returns, its queue is no longer empty."""
        self._guard = threading.Lock()

    @property
    def hanging(self) -> int:
        """Return how many of the calls that took too long have not returned yet."""
        with self._guard:
            self._left_behind = [answers for answers in self._left_behind if answers.empty()]
            return len(self._left_behind)

    def call(self, work: Callable[[], T]) -> T:
        """Call `work`, and return or raise its result; raise DeadlinePassedError if it takes too long."""
        with self._guard:
            thread = self._idle.pop() if self._idle else None
        thread = thread or CallThread()
        try:
            value, error = self._answer(thread.call(work))
        except BaseException:
            thread.end()
            raise
        with self._guard:
            self._idle.append(thread)
        if error is not None:
            raise error
        given: T = value
        return given

    def close(self) -> None:
        """End the threads that are idle."""
        with self._guard:
            for thread in self._idle:
                thread.end()
            self._idle.clear()

    def _answer(self, answers: SimpleQueue[Answer]) -> Answer:
        waited, slice_ = 0.0, 0.2
        while True:
            with suppress(Empty):
                return answers.get(timeout=min(slice_, max(0.0, self.seconds - waited)))
            waited += slice_
            if waited >= self.seconds or self.given_up():
                with self._guard:
                    self._left_behind.append(answers)
                raise DeadlinePassedError
