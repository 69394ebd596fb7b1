"""Starts the due fires of the schedules in one ledger: claims, starts, renews leases, records the ends."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from batchops.errors import BatchopsError
from batchops.events import Emit, Fired
from batchops.runtime.backoff import Backoff
from batchops.runtime.lease import RENEWALS, LeaseClock
from batchops.runtime.stop import Stop
from batchops.runtime.threads import Threads
from batchops.scheduler.fires import LEASE, Claimed, Fires
from batchops.scheduler.places import FireLedgerPlace, OpenedOnce
from batchops.scheduler.work import FireInProgress, Task
from batchops.scheduler.worker_pool import WorkerPool

LOOK_SECONDS = 5.0
"""Seconds between looks for fires whose owner is gone; also the longest that a jump of the clock goes unnoticed."""
BACKOFF = Backoff(first=0.5, longest=LEASE / RENEWALS, jitter=0.0)
"""Between attempts to reach a ledger that cannot be reached."""
JUMP = 1.0
"""Seconds by which the database's clock must be elsewhere than reckoned to be taken as set again."""
PRUNED = 3600.0
"""Seconds between clearings of old fires."""
_DIED = "one process after the other died while running it"
CLOSE_TIMEOUT = 10.0
"""Seconds to get ends written down once everything has stopped."""
Note = Callable[[str], None]


class Dispatcher:
    """A thread for one ledger; a ledger that cannot be reached is tried again, and the others do not notice."""

    def __init__(
        self, place: FireLedgerPlace, pool: WorkerPool, stop: Stop, emit: Emit, note: Note, threads: Threads,
        clock: Callable[[], float] = time.monotonic, held: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        """`held`: whether to begin no fire now; what is running goes on."""
        self.place, self._held = place, held
        self.trouble: BatchopsError | None = None
        """Why the ledger cannot be worked with just now."""
        self.seen = clock()
        """When the loop last came round."""
        self._pool, self._stop, self._emit, self._note = pool, stop, emit, note
        self._threads, self._clock = threads, clock
        self._tasks: tuple[Task, ...] = ()
        self._known: frozenset[str] = frozenset()
        self._works: list[FireInProgress] = []
        self._next: dict[str, float] = {}
        self._nudged: set[str] = set()
        self._waits: set[str] = set()
        self._ahead = 0.0
        self._close_by: float | None = None
        self._looked = self._pruned = float("-inf")
        self._lease = LeaseClock(LEASE, clock)  # of all fires running: they are renewed together
        self._failures = 0
        self._wake, self._called, self._worker_freed = threading.Event(), threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; woken whenever a worker is free again."""
        self._pool.freed.append(self._freed)
        self._thread = self._threads.start("dispatcher", self._run)

    def plan(self, tasks: Sequence[Task]) -> None:
        """From now on these; what is running ends as it was begun."""
        self._tasks = tuple(tasks)
        self.call()

    def wake(self) -> None:
        """Look at once, unless the ledger cannot be reached."""
        self._wake.set()

    def call(self) -> None:
        """Look at once in any case."""
        self._called.set()
        self._wake.set()

    def running(self) -> list[FireInProgress]:
        """The fires that are running here."""
        return [work for work in tuple(self._works) if work.finished is None]

    @property
    def alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    @property
    def idle(self) -> bool:
        """Whether there is nothing to keep any more."""
        return not self._tasks and not self._works

    def _run(self) -> None:
        with ExitStack() as stack:
            opened = OpenedOnce(stack, self.place)
            while not self._over():
                self._wake.clear()
                self._called.clear()
                self._round(opened)
                self.seen = self._clock()
                # A round that fails gives back what it has taken, and may not wake itself by that.
                self._threads.wait(self._called if self._failures else self._wake, self._pause())
        self._pool.freed.remove(self._freed)

    def _round(self, opened: OpenedOnce) -> None:
        try:
            self._tick(opened())
            self._well()
        except BatchopsError as error:
            self._troubled(error)
        except Exception as error:  # noqa: BLE001  a bug must not end the schedules of this ledger in silence
            self._troubled(BatchopsError(f"{type(error).__name__}: {error}", "this is a bug."))

    def _over(self) -> bool:
        if not self._stop.asked:
            return self.idle
        if self.running() or not self._works:
            return not self._works
        now = self._clock()
        self._close_by = self._close_by or now + CLOSE_TIMEOUT
        return now > self._close_by

    def _tick(self, fires: Fires) -> None:
        self._settle(fires)
        self._renew(fires)
        if self._stop.asked:
            return
        self._learn(fires)
        if self._worker_freed.is_set():
            self._worker_freed.clear()
            self._nudged |= self._waits
        for task in self._offered():
            self._offer(fires, task)
        self._look(fires)
        if self._clock() - self._pruned > PRUNED:
            self._pruned = self._clock()
            fires.prune()

    def _learn(self, fires: Fires) -> None:
        """The schedules' own rows, once for each plan."""
        if self._names() - self._known:
            fires.make([task.schedule for task in self._tasks])
        self._known |= self._names()

    def _offer(self, fires: Fires, task: Task) -> None:
        """Begin what is due, as far as workers are free."""
        name = task.schedule.name
        if name not in self._nudged and self._now() < self._next.get(name, 0.0):
            return
        self._nudged.discard(name)
        while (claimed := self._claim(fires, task)) and claimed.fire:
            if task.schedule.policy.overlap != "parallel":
                break

    def _claim(self, fires: Fires, task: Task) -> Claimed | None:
        """None: there is still no worker for what waits for one."""
        name = task.schedule.name
        if not (free := self._pool.acquire(name)) and name in self._waits:
            return None
        begun = False
        try:
            claimed = fires.claim(task.schedule, free=free)
            self._remember(task, claimed)
            if begun := claimed.fire is not None:
                self._works.append(FireInProgress(task, claimed.fire, self._ended, self._threads))
        finally:
            if free and not begun:
                self._pool.release()
            if name not in self._waits:
                self._pool.forget(name)
        return claimed

    def _remember(self, task: Task, claimed: Claimed) -> None:
        name = task.schedule.name
        self._ahead = claimed.now - self._clock()
        self._next[name] = task.schedule.due_at(task.schedule.times.after(claimed.last))
        self._waits.discard(name)
        if claimed.waits:
            self._waits.add(name)
            self._next[name] = claimed.now + LOOK_SECONDS
        self._report_claimed(task, claimed)

    def _freed(self) -> None:
        """A worker is free, from any thread."""
        self._worker_freed.set()
        self._wake.set()

    def _ended(self) -> None:
        """From the thread of a fire."""
        self._pool.release()
        self._wake.set()

    def _report_claimed(self, task: Task, claimed: Claimed) -> None:
        newest = {one.state: one for one in claimed.decided}
        for state, one in newest.items():
            alike = sum(each.state == state for each in claimed.decided)
            self._emit(Fired(task.job, one.fire_at, state, 0, claimed.now - one.fire_at, one.note, alike))
        if claimed.fire and claimed.fire.fire_at not in {one.fire_at for one in claimed.decided}:
            note = "its owner is gone" if claimed.fire.taken_over else "it had waited"
            at = claimed.fire.fire_at
            self._emit(Fired(task.job, at, "running", late=claimed.now - at, note=note))
        for at in claimed.given_up:
            self._emit(Fired(task.job, at, "failed", note=f"given up: {_DIED}"))
            self._note(f"error: {task.job}: a fire is given up: {_DIED}")
        if claimed.forgotten:
            self._note(f"{task.job}: the database's clock was set back; {claimed.forgotten} later fires are forgotten")

    def _settle(self, fires: Fires) -> None:
        """Write down how fires ended; one that cannot be written now stays for the next round."""
        for work in [work for work in self._works if work.finished is not None]:
            state, note = work.outcome()
            self._stop.cut = self._stop.cut or work.stop.cut
            ours = fires.release(work.fire, work.rows) if state is None else self._finish(fires, work, state, note)
            self._works.remove(work)
            self._nudged.add(work.fire.schedule)
            if state is None:
                self._note(f"{work.task.job}: interrupted; another scheduler continues it")
            elif not ours:
                self._note(f"{work.task.job}: another scheduler had taken this fire over")

    def _finish(self, fires: Fires, work: FireInProgress, state: str, note: str) -> bool:
        ours = fires.finish(work.fire, state, work.rows, note)  # type: ignore[arg-type]  # a State, from outcome()
        if ours:
            rows = work.fire.rows + work.rows
            self._emit(Fired(work.task.job, work.fire.fire_at, state, rows, note=note))
        return ours

    def _renew(self, fires: Fires) -> None:
        works = {work.fire.token: work for work in self._works}

        def renewed() -> bool:
            for token in fires.renew({token: work.rows for token, work in works.items()}):
                works[token].stop.ask("locked")
            return True

        if works and self._lease.due:
            self._lease.renew(renewed)

    def _look(self, fires: Fires) -> None:
        """For open fires that are not running here: their owner may have died."""
        if self._clock() - self._looked < LOOK_SECONDS or not self._tasks:
            return
        now, open_fires = fires.look(self._names())
        self._looked = self._clock()
        if abs(now - self._now()) > JUMP:
            self._nudged |= self._names()
        self._ahead = now - self._clock()
        self._nudged |= open_fires - {work.fire.schedule for work in self._works}

    def _offered(self) -> tuple[Task, ...]:
        return () if self._held() else self._tasks

    def _names(self) -> frozenset[str]:
        return frozenset(task.schedule.name for task in self._tasks)

    def _now(self) -> float:
        """The database's clock, as far as can be told without asking."""
        return self._ahead + self._clock()

    def _pause(self) -> float:
        if self._stop.asked:
            return 0.5 if self._failures else 0.1
        if self._failures:
            return BACKOFF.pause(self._failures)
        offered = self._offered()
        coming = [self._next.get(task.schedule.name, 0.0) - self._now() for task in offered]
        looks = self._looked + LOOK_SECONDS - self._clock()
        return 0.01 if self._nudged and offered else max(0.01, min([*coming, looks]))

    def _well(self) -> None:
        if self.trouble is not None:
            self._note(f"the ledger in {self.place.shown} is reached again")
        self.trouble, self._failures = None, 0

    def _troubled(self, error: BatchopsError) -> None:
        if self.trouble is None or self.trouble.message != error.message:
            hint = f" Hint: {error.hint}" if error.hint else ""
            self._note(f"error: the ledger in {self.place.shown}: {error.message}{hint}")
        self.trouble = error
        self._failures += 1
