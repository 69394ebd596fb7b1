"""Threads: starts the threads of a run, and passes an error in one of them to the run."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from batchops.errors import BatchopsError

Failed = Callable[[BaseException], None]
Wait = Callable[[threading.Event, float], bool]
"""Waits so many seconds, or until the event is set; returns whether it is set."""


class Threads:
    """Starts daemon threads; calls `failed` with any error that ends one of them."""

    def __init__(self, failed: Failed, warn: Callable[[str], None], wait: Wait = threading.Event.wait) -> None:
        """`warn` is called, once for each text, with an error after which a thread continues."""
        self._failed = failed
        self._warn = warn
        self.wait = wait
        self._warned: set[str] = set()

    def start(self, name: str, work: Callable[[], object]) -> threading.Thread:
        """Run `work` in a thread, whose name in tracebacks and process lists begins with batchops."""

        def run() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001  raised or reported by the thread that waits for the run
                self._failed(error)

        thread = threading.Thread(target=run, name=f"batchops-{name}", daemon=True)
        thread.start()
        return thread

    @contextmanager
    def alongside(self, name: str, work: Callable[[threading.Event], object]) -> Iterator[None]:
        """Run `work(over)` in a thread; when the block ends, set `over` and wait for the thread."""
        over = threading.Event()
        thread = self.start(name, lambda: work(over))
        try:
            yield
        finally:
            over.set()
            thread.join()

    @contextmanager
    def repeating(self, name: str, seconds: float, work: Callable[[], object]) -> Iterator[None]:
        """Call `work` in a thread every so many seconds until the block ends, also after a call that failed."""

        def repeat(over: threading.Event) -> None:
            while not self.wait(over, seconds):
                self.survive(name, work)

        with self.alongside(name, repeat):
            yield

    def survive(self, name: str, work: Callable[[], object]) -> bool:
        """Call `work` and return whether it succeeded; an error gives one warning, and the thread continues."""
        try:
            work()
        except Exception as error:  # noqa: BLE001  a heartbeat that ends at its first error loses the lease
            self._warn_once(f"The {name} failed and is tried again: {described(error)}")
            return False
        return True

    def _warn_once(self, text: str) -> None:
        if text not in self._warned and len(self._warned) < 100:
            self._warned.add(text)
            self._warn(text)


def described(error: BaseException) -> str:
    """Return the error in one line: its message, with its type if it is not a BatchopsError."""
    return error.message if isinstance(error, BatchopsError) else f"{type(error).__name__}: {error}"
