"""The threads that read the signals of a run's throttles, beside the loop and with a connection of their own."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from threading import Event

from batchops.events import ThrottleReason
from batchops.runtime.threads import Threads
from batchops.throttles.chosen import ChosenThrottle
from batchops.throttles.watch import EVERY, Patience, Watch

Asks = Callable[[], ThrottleReason | None]


@contextmanager
def watching(chosen: Sequence[ChosenThrottle], threads: Threads, timeout: float) -> Iterator[tuple[Asks, ...]]:
    """What the loop is to ask before each batch, while the block runs. `timeout`: seconds of one wait at the most."""
    patience = Patience(timeout)
    with ExitStack() as stack:
        watches = []
        for one in chosen:
            if one.on and one.setting.kind.open is not None:
                watch = Watch(one.setting, one.setting.kind.open().read, patience)
                stack.enter_context(_reading(watch, threads))
                watches.append(watch)
        yield tuple(watches)


@contextmanager
def _reading(watch: Watch, threads: Threads) -> Iterator[None]:
    name = f"throttle-{watch.name}"

    def work(over: Event) -> None:
        threads.survive(name, watch.look)
        while not threads.wait(over, EVERY):
            threads.survive(name, watch.look)

    with threads.alongside(name, work):
        yield
