"""Stop: asks a run to stop, by a signal or a call, and says how long its batch may still take."""

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from batchops.runtime.threads import Threads

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE = 20.0
"""The default grace period: seconds that the batch in progress may take once a run is asked to stop."""
CANCEL_RETRY_SECONDS = 1.0
"""Seconds between two attempts to cancel."""


class Stop:
    """Once asked, a run finishes its batch within the grace period and ends; if hurried, it ends without that batch.

    Several runs may share one Stop: see `of_one_run`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.reason: str | None = None
        self.signal: int | None = None
        self.error: BaseException | None = None
        """The error of a thread or listener that ends the run."""
        self.hurried = False
        """Whether to cut off the batch in progress now, even if some of the grace period is left."""
        self.grace = GRACE
        self.cut = False
        """Whether a batch in progress was cut off."""
        self._clock = clock
        self._asked = threading.Event()
        self._woken = threading.Condition()
        self._wakes = 0
        """How often a sleeping thread was woken."""
        self._asked_at = 0.0
        self._heard: list[threading.Event] = []
        self._runs: list[Stop] = []
        self._guard = threading.RLock()

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    @property
    def left(self) -> float | None:
        """The seconds that the batch may still take, not above 0 once they are over; None while nobody has asked."""
        if not self.asked:
            return None
        left = self._asked_at + self.grace - self._clock()
        return min(left, 0.0) if self.hurried else left

    @property
    def at_once(self) -> bool:
        """Whether the grace period is over, so that the batch in progress is not finished."""
        return (left := self.left) is not None and left <= 0

    def ask(self, reason: str, signal: int | None = None) -> None:
        """Ask the run to end after the batch in progress. Later reasons are ignored."""
        with self._guard:
            if not self.asked:
                self.reason, self.signal, self._asked_at = reason, signal, self._clock()
            self._asked.set()
            runs = self._wake_listeners()
        for run in runs:
            run.ask(reason, signal)

    def hurry(self) -> None:
        """Cut off the batch in progress once the run is asked to end, now or later."""
        with self._guard:
            self.hurried = True
            runs = self._wake_listeners()
        for run in runs:
            run.hurry()

    def fail(self, error: BaseException) -> None:
        """Ask the run to end after the batch in progress because of this error. Later errors are ignored."""
        with self._guard:
            self.error = self.error or error
        self.ask(getattr(error, "reason", "failed"))

    @contextmanager
    def of_one_run(self) -> Iterator["Stop"]:
        """Yield a Stop for one run: it is asked whenever this one is, but asking it does not stop other runs."""
        run = Stop(self._clock)
        with self._guard:
            self._runs.append(run)
            run.hurried = self.hurried
            if self.asked:
                run.ask(self.reason or "stopped", self.signal)
        try:
            yield run
        finally:
            with self._guard:
                self._runs.remove(run)
                self.cut = self.cut or run.cut

    def sleep(self, seconds: float) -> None:
        """Sleep for so many seconds, or until the run is asked to stop or `wake` is called."""
        with self._woken:
            before = self._wakes
            self._woken.wait_for(lambda: self.asked or self._wakes != before, seconds)

    def wake(self) -> None:
        """End the sleeps in progress: the reason for a wait may have changed."""
        with self._woken:
            self._wakes += 1
            self._woken.notify_all()

    @contextmanager
    def heard_by(self, event: threading.Event) -> Iterator[None]:
        """Set `event` whenever the run is asked or hurried, until the block ends."""
        self._heard.append(event)
        try:
            yield
        finally:
            self._heard.remove(event)

    def _wake_listeners(self) -> "tuple[Stop, ...]":
        """Wake all sleeping threads and set all listening events; return the runs that must be asked too."""
        self.wake()
        for event in tuple(self._heard):
            event.set()
        return tuple(self._runs)


Grace = Callable[[Stop], AbstractContextManager[None]]
"""Bounds how long the batch in progress in the block may take once that Stop is asked."""


@contextmanager
def grace_period(stop: Stop, seconds: float, cancel: Callable[[], None], margin: float = 0.0) -> Iterator[None]:
    """Once `stop` is asked, give the block so many seconds to end; then call `cancel` for its statement in progress.

    `cancel` is called again each second: between two statements there is nothing to cancel.
    `margin`: seconds after the grace period in which the batch's result may still be written.
    """
    stop.grace = seconds

    def look() -> float | None:
        left = stop.left
        if left is None or left + margin > 0:
            return None if left is None else left + margin
        stop.cut = True
        cancel()
        return CANCEL_RETRY_SECONDS

    with watched(stop, Threads(stop.fail, lambda _: None), "grace", look):
        yield


@contextmanager
def watched(stop: Stop, threads: Threads, name: str, look: Callable[[], float | None]) -> Iterator[None]:
    """Call `look` in a thread, at once and whenever the run is asked or hurried, until the block ends.

    `look` returns after how many seconds to call it again at the latest; None: only when the run is asked or hurried.
    """
    over, woken = threading.Event(), threading.Event()

    def watch() -> None:
        while not over.is_set():
            woken.wait(look())
            woken.clear()

    with stop.heard_by(woken):
        thread = threads.start(name, watch)
        try:
            yield
        finally:
            over.set()
            woken.set()
            thread.join()


@contextmanager
def signals(stop: Stop, instead: Mapping[int, Callable[[], None]] | None = None) -> Iterator[None]:
    """Let the first SIGINT, SIGTERM or SIGHUP ask `stop`, and the second hurry it.

    For a signal in `instead`, its function is called and `stop` is not asked.

    A thread reads the signals from a pipe. So they are handled while the main thread waits inside a driver, and no
    KeyboardInterrupt interrupts a batch between two statements.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
    old_writer = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threads = Threads(stop.fail, lambda _: None)
    listener = threads.start("signals", lambda: _listen(reader, stop, instead or {}))
    try:
        yield
    finally:
        signal.set_wakeup_fd(old_writer)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writer)
        listener.join()
        os.close(reader)


def _listen(reader: int, stop: Stop, instead: Mapping[int, Callable[[], None]]) -> None:
    while True:
        select.select([reader], [], [])
        if not (sent := os.read(reader, 1)):
            return
        if sent[0] in instead:
            instead[sent[0]]()
        elif sent[0] in SIGNALS:
            stop.hurry() if stop.asked else stop.ask("signal", sent[0])
