"""How a run is asked to stop, by a signal or through its Stop, and how long its batch may take then."""

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
"""Seconds that the batch in progress may take once a run is asked to stop, where nothing else is said."""
CANCEL_RETRY_SECONDS = 1.0
"""Seconds between two attempts to cancel."""


class Stop:
    """Asked once, the run finishes its batch within the grace period and ends; hurried, it ends without that batch.

    It may be shared by several runs: what one of them asks of itself does not stop the others.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.reason: str | None = None
        self.signal: int | None = None
        self.error: BaseException | None = None
        """What the run ends by, where that is an error of one of its threads or listeners."""
        self.hurried = False
        """Whether the batch in progress is to be cut now, whatever is left of the grace period."""
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
        """Seconds that the batch may still take, negative once they are over; None while nobody has asked."""
        if not self.asked:
            return None
        left = self._asked_at + self.grace - self._clock()
        return min(left, 0.0) if self.hurried else left

    @property
    def at_once(self) -> bool:
        """Whether the batch in progress is not to be finished any more."""
        return (left := self.left) is not None and left <= 0

    def ask(self, reason: str, signal: int | None = None) -> None:
        """End after the batch in progress. Later reasons are ignored."""
        with self._guard:
            if not self.asked:
                self.reason, self.signal, self._asked_at = reason, signal, self._clock()
            self._asked.set()
            runs = self._wake_listeners()
        for run in runs:
            run.ask(reason, signal)

    def hurry(self) -> None:
        """Asked to end, now or later: do it without the batch in progress."""
        with self._guard:
            self.hurried = True
            runs = self._wake_listeners()
        for run in runs:
            run.hurry()

    def fail(self, error: BaseException) -> None:
        """End after the batch in progress because of this error. Later errors are ignored."""
        with self._guard:
            self.error = self.error or error
        self.ask(getattr(error, "reason", "failed"))

    @contextmanager
    def of_one_run(self) -> Iterator["Stop"]:
        """A Stop that is asked whenever this one is; what is asked of it alone ends that run only."""
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
        """Wait so long, or until asked or woken."""
        with self._woken:
            before = self._wakes
            self._woken.wait_for(lambda: self.asked or self._wakes != before, seconds)

    def wake(self) -> None:
        """End the sleeps in progress: why somebody waits may have changed."""
        with self._woken:
            self._wakes += 1
            self._woken.notify_all()

    @contextmanager
    def heard_by(self, event: threading.Event) -> Iterator[None]:
        """Set that event whenever anything is asked, until the block ends."""
        self._heard.append(event)
        try:
            yield
        finally:
            self._heard.remove(event)

    def _wake_listeners(self) -> "tuple[Stop, ...]":
        """Wake who listens or sleeps; the runs that are to be told too."""
        self.wake()
        for event in tuple(self._heard):
            event.set()
        return tuple(self._runs)


Grace = Callable[[Stop], AbstractContextManager[None]]
"""Bounds what the block has in progress once that Stop is asked."""


@contextmanager
def grace_period(stop: Stop, seconds: float, cancel: Callable[[], None], margin: float = 0.0) -> Iterator[None]:
    """Once `stop` is asked, give the block so many seconds to end; then cancel what it has in progress.

    It is cancelled again each second: between two statements there was nothing to cancel.
    `margin`: seconds after the grace period in which what became of the batch may still be written down.
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
    """A thread that calls `look` at once and whenever anything is asked, until the block ends.

    `look` returns after how many seconds it is to be called anyway; None: only once something is asked.
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
    """The first SIGINT, SIGTERM or SIGHUP asks `stop`; the second hurries it.

    A signal that `instead` names calls what is there, and asks for nothing.

    A thread reads the signals from a pipe, so they are heard while the main thread waits inside a driver,
    and no KeyboardInterrupt tears a batch between two statements.
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
