"""watching(): runs the throttles of a run: the functions that the loop calls, and the threads that take readings."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace

from batchops.db.database import Database
from batchops.db.signals import Measured, Scope
from batchops.errors import BatchopsError, TransientError
from batchops.events import ThrottleReason
from batchops.runtime.live_settings import ThrottleLimits
from batchops.runtime.loop import RunStats, Throttle
from batchops.runtime.threads import Threads
from batchops.throttles import THROTTLES
from batchops.throttles.chosen import ChosenThrottle, chosen_at_work
from batchops.throttles.kind import ThrottleSetting
from batchops.throttles.probes import probe_database, reading
from batchops.throttles.server_thread import Quiet, ServerThread
from batchops.throttles.watch import WaitTimeout, Watch


@dataclass(frozen=True)
class Watched:
    """The throttles with which a run begins, and what it needs to apply limits that are set while it works."""

    chosen: Sequence[ChosenThrottle]
    database: Database
    """The database of the run."""
    scope: Scope
    limits: ThrottleLimits
    """The limits that people set while the run works."""
    setting: Callable[[str, str], ThrottleSetting]
    """Makes a setting from the name of a throttle and the text of its limits; raises ValueError if they are wrong."""
    timeout: float
    """The longest wait, in seconds."""
    warn: Callable[[str], None]


@contextmanager
def watching(watched: Watched, threads: Threads, stats: RunStats) -> Iterator[tuple[Throttle, ...]]:
    """Yield the throttles that the loop calls before each batch, and take readings while the block runs.

    The server's own signals share a thread and a connection. A signal that may take longer has a thread of its own.
    """
    with ExitStack() as stack:
        probes = stack.enter_context(closing(probe_database(watched.database.address)))
        watches = _Watches(watched, threads, stats, probes, stack)
        for one in watched.chosen:
            if one.on:
                watches.begin(one)
        stack.enter_context(watches.server.running())
        threads.survive("throttles", lambda: watches.change(watched.limits.wanted))
        with watched.limits.heard_by(lambda wanted: watches.server.do(lambda: watches.change(wanted))):
            yield tuple(watches.slots.values())


class _Slot:
    """The place of one throttle among those that the loop calls; it may be empty."""

    def __init__(self) -> None:
        self.watch: Watch | None = None
        self.thread: ServerThread | None = None
        self._asked: Throttle | None = None

    def __call__(self) -> ThrottleReason | None:
        return None if self._asked is None else self._asked()

    @property
    def asleep(self) -> bool:
        """Whether it holds a default that is not awake yet."""
        return isinstance(self._asked, Quiet) and not self._asked.awake

    def fill(self, watch: Watch, thread: ServerThread, asked: Throttle) -> None:
        """Let the loop call `asked` from now on."""
        self.empty()
        self.watch, self.thread, self._asked = watch, thread, asked

    def empty(self) -> None:
        """Remove the throttle, so that the loop no longer waits for it."""
        self._asked = None
        if self.watch is not None and self.thread is not None:
            self.thread.remove(self.watch)
            self.watch.end()
        self.watch = self.thread = None


class _Watches:
    """All throttles of a run; `stack` ends their threads."""

    def __init__(
        self, watched: Watched, threads: Threads, stats: RunStats, probes: Database, stack: ExitStack
    ) -> None:  # fmt: skip
        self._watched, self._threads, self._probes, self._stack = watched, threads, probes, stack
        self._longest = WaitTimeout(watched.timeout)
        self.server = ServerThread("throttles", threads, probes, lambda: stats.slowest_batch)
        self.slots = {kind.name: _Slot() for kind in THROTTLES}
        self._set: dict[str, str] = {}

    def begin(self, one: ChosenThrottle) -> None:
        """Begin to read the throttle and let the loop call it."""
        kind, slot = one.setting.kind, self.slots[one.setting.kind.name]
        watch = Watch(one.setting, _read(one, self._probes), self._longest)
        if one.quiet:
            slot.fill(watch, self.server, self.server.add_quiet(watch, kind.wakes_after))
        elif one.signal is not None and not kind.flag:
            self.server.add(watch)
            slot.fill(watch, self.server, watch)
        else:
            own = ServerThread(f"throttle-{kind.name}", self._threads, self._probes, of_one=True)
            own.add(watch)
            slot.fill(watch, own, watch)
            self._stack.enter_context(own.running())

    def change(self, wanted: Mapping[str, str]) -> None:
        """Apply the limits that people have set and that are new or changed."""
        for name, limits in wanted.items():
            if self._set.get(name) == limits:
                continue
            try:
                self._change(self._watched.setting(name, limits))
            except TransientError:
                self.server.do(lambda: self.change(self._watched.limits.wanted))  # there may be newer ones by then
                raise
            except (BatchopsError, ValueError) as error:
                text = error.message if isinstance(error, BatchopsError) else f"--throttle {name}: {error}."
                hint = f" Hint: {error.hint}" if isinstance(error, BatchopsError) and error.hint else ""
                self._watched.warn(f"What was set is not in effect. {text}{hint}")
            self._set[name] = limits

    def _change(self, setting: ThrottleSetting) -> None:
        slot = self.slots[setting.kind.name]
        if setting.limit is None:
            slot.empty()
        elif slot.watch is not None and not slot.asleep:
            slot.watch.keep_to(setting)
        else:
            self.begin(self._readable(setting))
            self.server.start()

    def _readable(self, setting: ThrottleSetting) -> ChosenThrottle:
        if setting.kind.local is not None:
            return ChosenThrottle(setting, self._watched.scope)
        with self._probes.reading() as connection:
            backend = self._probes.backend
            scope = replace(self._watched.scope, role=backend.catalog.server(connection).role)
            return chosen_at_work(connection, backend, setting, scope)


def _read(one: ChosenThrottle, probes: Database) -> Callable[[], Measured]:
    if one.signal is not None:
        return reading(probes, one.signal.open(one.scope))
    assert one.setting.kind.local is not None  # a throttle without a signal of the database has one of this host
    return one.setting.kind.local(one.setting.argument).read
