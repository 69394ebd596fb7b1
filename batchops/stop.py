"""How a run is asked to stop, by a signal or by anyone who holds the Stop."""

import os
import select
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from batchops.threads import Threads

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN = 1.0
"""Seconds between two attempts to cancel."""


class Stop:
    """Asked once, the run finishes its batch and ends; `at_once`, it does not finish the batch.

    It may be shared by several runs: what one of them asks of itself does not stop the others.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self.signal: int | None = None
        self.error: BaseException | None = None
        """What the run ends by, where that is an error of one of its threads or listeners."""
        self._at_once = False
        self._asked = threading.Event()
        self._runs: list[Stop] = []
        self._guard = threading.RLock()

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    @property
    def at_once(self) -> bool:
        return self._at_once

    @at_once.setter
    def at_once(self, value: bool) -> None:
        self._at_once = value
        for run in tuple(self._runs):
            run.at_once = value

    def ask(self, reason: str, signal: int | None = None) -> None:
        """End after the batch in hand. The first reason stands."""
        with self._guard:
            if not self.asked:
                self.reason, self.signal = reason, signal
            self._asked.set()
            runs = tuple(self._runs)
        for run in runs:
            run.ask(reason, signal)

    def fail(self, error: BaseException) -> None:
        """End after the batch in hand, as this has happened. The first error stands."""
        with self._guard:
            self.error = self.error or error
        self.ask(getattr(error, "reason", "failed"))

    @contextmanager
    def of_one_run(self) -> Iterator["Stop"]:
        """A Stop that is asked whenever this one is; what is asked of it alone ends that run only."""
        run = Stop()
        with self._guard:
            self._runs.append(run)
            run.at_once = self._at_once
            if self.asked:
                run.ask(self.reason or "stopped", self.signal)
        try:
            yield run
        finally:
            with self._guard:
                self._runs.remove(run)

    def sleep(self, seconds: float) -> None:
        """Wait so long, or until asked."""
        self._asked.wait(seconds)


class Cancels:
    """What breaks off the batches in hand: of each job for as long as it is at work."""

    def __init__(self) -> None:
        self._held: list[Callable[[], None]] = []

    def __call__(self) -> None:
        """Break off all of them."""
        for cancel in tuple(self._held):
            cancel()

    @contextmanager
    def of(self, cancel: Callable[[], None]) -> Iterator[None]:
        """Count that one in meanwhile."""
        self._held.append(cancel)
        try:
            yield
        finally:
            self._held.remove(cancel)


@contextmanager
def signals(
    stop: Stop, cancel: Callable[[], None], grace: float = 10.0, instead: Mapping[int, Callable[[], None]] | None = None
) -> Iterator[None]:
    """The first SIGINT, SIGTERM or SIGHUP asks; the second, or `grace` seconds, cancels the batch in hand.

    A signal that `instead` names calls what stands there, and asks for nothing.

    It is cancelled again each second: between two statements there was nothing to cancel.

    A thread reads the signals from a pipe, so they are heard while the main thread waits inside a driver,
    and no KeyboardInterrupt tears a batch between two statements.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
    old_writer = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threads = Threads(stop.fail, lambda _: None)
    listener = threads.start("signals", lambda: _listen(reader, stop, cancel, grace, instead or {}))
    try:
        yield
    finally:
        signal.set_wakeup_fd(old_writer)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writer)
        listener.join()
        os.close(reader)


def _listen(
    reader: int, stop: Stop, cancel: Callable[[], None], grace: float, instead: Mapping[int, Callable[[], None]]
) -> None:
    while True:
        waiting = (AGAIN if stop.at_once else grace) if stop.asked else None
        ready, _, _ = select.select([reader], [], [], waiting)
        if ready and not (sent := os.read(reader, 1)):
            return
        if ready and sent[0] in instead:
            instead[sent[0]]()
            continue
        if ready and sent[0] not in SIGNALS:
            continue
        if ready and not stop.asked:
            stop.ask("signal", sent[0])
            continue
        stop.at_once = True
        cancel()
