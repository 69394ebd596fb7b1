"""Dispatcher: claims and starts the due fires of one ledger, renews their leases, and records how they end."""

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
"""Seconds between looks for fires whose owner is gone; a jump of the clock goes unnoticed for as long at most."""
BACKOFF = Backoff(first=0.5, longest=LEASE / RENEWALS, jitter=0.0)
"""The pauses between attempts to reach a ledger that cannot be reached."""
JUMP = 1.0
"""If the database's clock differs from the estimate by more than these seconds, it counts as set anew."""
PRUNED = 3600.0
"""Seconds between two prunings of old fires."""
_DIED = "one process after the other died while running it"
CLOSE_TIMEOUT = 10.0
"""Seconds for which the dispatcher tries to record how fires ended, once all of them have."""
Note = Callable[[str], None]


class Dispatcher:
    """Runs a thread for one ledger; if the ledger cannot be reached, it tries again without affecting other ledgers."""

    def __init__(
        self, place: FireLedgerPlace, pool: WorkerPool, stop: Stop, emit: Emit, note: Note, threads: Threads,
        clock: Callable[[], float] = time.monotonic, held: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        """`held` returns whether the scheduler is paused: no fire starts then, and running fires continue."""
        self.place, self._held = place, held
        self.trouble: BatchopsError | None = None
        """Why the ledger cannot be used now; None if it can."""
        self.seen = clock()
        """When the thread last finished a round, by `clock`."""
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
        self._lease = LeaseClock(LEASE, clock)  # for all running fires, which are renewed together
        self._failures = 0
        self._wake, self._called, self._worker_freed = threading.Event(), threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, which is woken whenever a worker is free again."""
        self._pool.freed.append(self._freed)
        self._thread = self._threads.start("dispatcher", self._run)

    def plan(self, tasks: Sequence[Task]) -> None:
        """Set the tasks from now on; a running fire ends with the task that it began with."""
        self._tasks = tuple(tasks)
        self.call()

    def wake(self) -> None:
        """Begin the next round at once, unless the ledger could not be reached in the last one."""
        self._wake.set()

    def call(self) -> None:
        """Begin the next round at once in any case."""
        self._called.set()
        self._wake.set()

    def running(self) -> list[FireInProgress]:
        """Return the fires that are running in this process."""
        return [work for work in tuple(self._works) if work.finished is None]

    @property
    def alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    @property
    def idle(self) -> bool:
        """Whether the dispatcher has no tasks and no fires left."""
        return not self._tasks and not self._works

    def _run(self) -> None:
        with ExitStack() as stack:
            opened = OpenedOnce(stack, self.place)
            while not self._over():
                self._wake.clear()
                self._called.clear()
                self._round(opened)
                self.seen = self._clock()
                # A round that fails releases its worker and so sets _wake: that must not end the pause after a failure.
                self._threads.wait(self._called if self._failures else self._wake, self._pause())
        self._pool.freed.remove(self._freed)

    def _round(self, opened: OpenedOnce) -> None:
        try:
            self._tick(opened())
            self._recovered()
        except BatchopsError as error:
            self._failed(error)
        except Exception as error:  # noqa: BLE001  a bug must not end the schedules of this ledger in silence
            self._failed(BatchopsError(f"{type(error).__name__}: {error}", "this is a bug."))

    def _over(self) -> bool:
        if not self._stop.asked:
            return self.idle
        if self.running() or not self._works:
            return not self._works
        now = self._clock()
        self._close_by = self._close_by or now + CLOSE_TIMEOUT
        return now > self._close_by

    def _tick(self, fires: Fires) -> None:
        self._record_ends(fires)
        self._renew(fires)
        if self._stop.asked:
            return
        self._create_rows(fires)
        if self._worker_freed.is_set():
            self._worker_freed.clear()
            self._nudged |= self._waits
        for task in self._offered():
            self._offer(fires, task)
        self._look(fires)
        if self._clock() - self._pruned > PRUNED:
            self._pruned = self._clock()
            fires.prune()

    def _create_rows(self, fires: Fires) -> None:
        """Create the rows of schedules that are new in the plan."""
        if self._names() - self._known:
            fires.make([task.schedule for task in self._tasks])
        self._known |= self._names()

    def _offer(self, fires: Fires, task: Task) -> None:
        """Start the due fires of the task, as far as workers are free."""
        name = task.schedule.name
        if name not in self._nudged and self._now() < self._next.get(name, 0.0):
            return
        self._nudged.discard(name)
        while (claimed := self._claim(fires, task)) and claimed.fire:
            if task.schedule.policy.overlap != "parallel":
                break

    def _claim(self, fires: Fires, task: Task) -> Claimed | None:
        """Claim the next fire of the task; None if its schedule still waits for a free worker."""
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
        """Wake the thread as a worker is free; called from any thread."""
        self._worker_freed.set()
        self._wake.set()

    def _ended(self) -> None:
        """Release the worker of a fire that has ended; called from the fire's thread."""
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

    def _record_ends(self, fires: Fires) -> None:
        """Record how fires ended; a fire that cannot be recorded now stays for the next round."""
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
        """Look for open fires that do not run in this process: their owner may have died."""
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
        """Return an estimate of the database's clock, without a query."""
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

    def _recovered(self) -> None:
        if self.trouble is not None:
            self._note(f"the ledger in {self.place.shown} is reached again")
        self.trouble, self._failures = None, 0

    def _failed(self, error: BatchopsError) -> None:
        if self.trouble is None or self.trouble.message != error.message:
            hint = f" Hint: {error.hint}" if error.hint else ""
            self._note(f"error: the ledger in {self.place.shown}: {error.message}{hint}")
        self.trouble = error
        self._failures += 1
