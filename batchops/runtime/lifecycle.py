"""whole_run() and EventEmitter: the events of a run from the first to the last; Finished is emitted exactly once."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from batchops.errors import BatchopsError
from batchops.events import Emit, Event, Finished, Started, Stopping, Warned
from batchops.runtime.ending import Ending, ending_of
from batchops.runtime.event_log import EventLog
from batchops.runtime.stop import Grace, Stop, watched
from batchops.runtime.threads import Threads, described


class EventEmitter:
    """Passes the events of the run's threads to one listener, one at a time.

    If the listener raises, the run ends after the batch in progress; the listener then gets only the last event.
    """

    def __init__(self, emit: Emit, stop: Stop) -> None:
        self._emit = emit
        self._stop = stop
        self._guard = threading.RLock()
        self._raised: BaseException | None = None
        self._warnings: deque[str] = deque()
        self.begun = False
        self.log = EventLog()
        """The events that are kept with the run."""
        self.threads = Threads(stop.fail, self.warn)
        """The run's threads; an error that ends one of them ends the run."""

    def __call__(self, event: Event) -> None:
        with self._guard:
            self.begun = self.begun or isinstance(event, Started)
            self._emit_event(event)
            self._emit_warnings()

    def end(self, finished: Finished) -> None:
        """Emit the last event; then raise the error of a listener, or of the run if it is a bug or Ctrl-C."""
        with self._guard:
            self._emit_warnings()
            raised, self._raised = self._raised, None
            self._emit_event(finished)
        if (raised := raised or self._raised) is not None:
            raise raised
        if self._stop.error is not None and not isinstance(self._stop.error, BatchopsError):
            raise self._stop.error

    def _emit_event(self, event: Event) -> None:
        self.log(event)
        if self._raised is not None:
            return
        try:
            self._emit(event)
        except BaseException as error:  # noqa: BLE001  raised again at the end, once nothing is in progress any more
            self._raised = error
            self._stop.fail(error if isinstance(error, KeyboardInterrupt) else _listener_error(error))

    def warn(self, text: str) -> None:
        """Emit Warned; if a slow listener is busy with another event, Warned follows that or the next event."""
        self._warnings.append(text)
        if self._guard.acquire(blocking=False):
            try:
                self._emit_warnings()
            finally:
                self._guard.release()

    def _emit_warnings(self) -> None:
        while self._warnings:
            self._emit_event(Warned(self._warnings.popleft()))


def whole_run(
    emit: Emit,
    stop: Stop,
    work: Callable[[EventEmitter, Stop], Finished],
    ended: Callable[[Ending], Finished],
    grace: Grace = lambda _: nullcontext(),
    *,
    undone: bool = False,
) -> Finished:
    """Run `work`, which emits Started and returns Finished; `ended` makes Finished of an error that escapes from it.

    An error before Started is raised. If the run asks its own Stop to end, the caller's Stop is not affected.
    `undone`: as in Stopping.
    """
    with stop.of_one_run() as mine:
        emitter = EventEmitter(emit, mine)
        try:
            with grace(mine), answering(mine, emitter, undone):
                finished = work(emitter, mine)
        except BaseException as error:
            if not emitter.begun:
                raise
            mine.fail(error)
            finished = ended(ending_of(error))
        emitter.end(finished)
    return finished


@contextmanager
def answering(stop: Stop, emitter: EventEmitter, undone: bool) -> Iterator[None]:
    """Emit Stopping as soon as a signal asks the run to stop, and again when a second signal hurries it."""
    last: Stopping | None = None

    def answer() -> None:
        nonlocal last
        now = Stopping(stop.signal, stop.hurried, undone) if stop.signal is not None else None
        if now is not None and now != last and emitter.begun:
            emitter(last := now)

    with watched(stop, emitter.threads, "answer", answer):
        yield


def _listener_error(error: BaseException) -> BatchopsError:
    return BatchopsError(f"A listener raised {described(error)}", "look at what on_event calls.")
