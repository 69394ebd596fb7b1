"""The threads that read the signals of a run's throttles, beside the loop and with connections of their own."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager

from batchops.db.database import Database
from batchops.db.signals import Measured
from batchops.db.urls import DatabaseAddress
from batchops.runtime.loop import RunStats, Throttle
from batchops.runtime.threads import Threads
from batchops.throttles.chosen import ChosenThrottle
from batchops.throttles.probes import probe_database, reading
from batchops.throttles.server_thread import ServerThread
from batchops.throttles.watch import WaitTimeout, Watch


@contextmanager
def watching(
    chosen: Sequence[ChosenThrottle], address: DatabaseAddress, threads: Threads, stats: RunStats, timeout: float
) -> Iterator[tuple[Throttle, ...]]:
    """What the loop is to ask before each batch, while the block runs. `timeout`: seconds of one wait at the most.

    The server's own signals share a thread and a connection; what may take its time has a thread of its own.
    """
    on = [one for one in chosen if one.on]
    if not on:
        yield ()
        return
    longest = WaitTimeout(timeout)
    with ExitStack() as stack:
        probes = stack.enter_context(closing(probe_database(address)))
        server = ServerThread("throttles", threads, probes, lambda: stats.slowest_batch)
        asked: list[Throttle] = []
        for one in on:
            watch = Watch(one.setting, _read(one, probes), longest)
            if one.quiet:
                asked.append(server.add_quiet(watch, one.setting.kind.wakes_after))
                continue
            asked.append(watch)
            if one.signal is not None and not one.setting.kind.flag:
                server.add(watch)
                continue
            own = ServerThread(f"throttle-{watch.name}", threads, probes)
            own.add(watch)
            stack.enter_context(own.running())
        stack.enter_context(server.running())
        yield tuple(asked)


def _read(one: ChosenThrottle, probes: Database) -> Callable[[], Measured]:
    if one.signal is not None:
        return reading(probes, one.signal.open(one.scope))
    assert one.setting.kind.local is not None  # else it has a signal
    return one.setting.kind.local(one.setting.argument).read
