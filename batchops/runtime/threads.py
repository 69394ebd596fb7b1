"""The threads of a run: each is started here, and an error in one always reaches the run."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from batchops.errors import BatchopsError

Failed = Callable[[BaseException], None]
Wait = Callable[[threading.Event, float], bool]
"""Waits so many seconds, or until the event is set; whether it is set."""


class Threads:
    """Starts daemon threads; an error that ends one of them is given to `failed`, whatever its kind."""

    def __init__(self, failed: Failed, warn: Callable[[str], None], wait: Wait = threading.Event.wait) -> None:
        """`warn` hears, once for each text, of an error after which a thread continues."""
        self._failed = failed
        self._warn = warn
        self.wait = wait
        self._warned: set[str] = set()

    def start(self, name: str, work: Callable[[], object]) -> threading.Thread:
        """Run `work` in a thread; its name in tracebacks and process lists begins with batchops."""

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
        """Run `work(over)` until the block ends: `over` is set then, and the thread is waited for."""
        over = threading.Event()
        thread = self.start(name, lambda: work(over))
        try:
            yield
        finally:
            over.set()
            thread.join()

    @contextmanager
    def repeating(self, name: str, seconds: float, work: Callable[[], object]) -> Iterator[None]:
        """Call `work` every so many seconds until the block ends. A call that fails is made again the next time."""

        def repeat(over: threading.Event) -> None:
            while not self.wait(over, seconds):
                self.survive(name, work)

        with self.alongside(name, repeat):
            yield

    def survive(self, name: str, work: Callable[[], object]) -> bool:
        """Whether `work` went well. A temporary or unexpected error is one warning, and the thread continues."""
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
    """An error in one line: its message, and its type where it is not one of ours."""
    return error.message if isinstance(error, BatchopsError) else f"{type(error).__name__}: {error}"
