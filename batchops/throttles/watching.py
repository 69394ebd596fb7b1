"""The threads that read the signals of a run's throttles, beside the loop and with connections of their own."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from threading import Event

from batchops.db.database import Database
from batchops.db.urls import DatabaseAddress
from batchops.runtime.loop import Throttle
from batchops.runtime.threads import Threads
from batchops.throttles.chosen import ChosenThrottle
from batchops.throttles.probes import probe_database, reading
from batchops.throttles.watch import EVERY, Patience, Watch

SERVER = "server"
"""The thread that reads all signals of the server itself, by one connection."""


@contextmanager
def watching(
    chosen: Sequence[ChosenThrottle], address: DatabaseAddress, threads: Threads, timeout: float
) -> Iterator[tuple[Throttle, ...]]:
    """What the loop is to ask before each batch, while the block runs. `timeout`: seconds of one wait at the most."""
    if not any(one.on for one in chosen):
        yield ()
        return
    patience = Patience(timeout)
    with closing(probe_database(address)) as probes, ExitStack() as stack:
        watches = [_watch(one, probes, patience) for one in chosen if one.on]
        groups: dict[str, list[Watch]] = {}
        for one, watch in zip((one for one in chosen if one.on), watches, strict=True):
            own = one.signal is None or one.setting.kind.flag
            groups.setdefault(watch.name if own else SERVER, []).append(watch)
        for name, members in groups.items():
            stack.enter_context(_reading(f"throttle-{name}", members, threads, probes))
        yield tuple(watches)


def _watch(one: ChosenThrottle, probes: Database, patience: Patience) -> Watch:
    if one.signal is not None:
        return Watch(one.setting, reading(probes, one.signal.open(one.scope)), patience)
    assert one.setting.kind.local is not None  # else it has a signal
    return Watch(one.setting, one.setting.kind.local(one.setting.argument).read, patience)


@contextmanager
def _reading(name: str, watches: Sequence[Watch], threads: Threads, probes: Database) -> Iterator[None]:
    over = Event()

    def work() -> None:
        while not over.is_set():
            for watch in watches:
                threads.survive(name, watch.look)
            threads.wait(over, EVERY)

    thread = threads.start(name, work)
    try:
        yield
    finally:
        over.set()
        probes.cancel()
        thread.join()
