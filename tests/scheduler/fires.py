"""Fires of one ledger in memory, decided as in a database, and a keeper of them by a clock of its own."""

import heapq
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from batchops.events import Committed, Emit, Event, Finished, Fired, State
from batchops.runtime.stop import Stop
from batchops.runtime.threads import Threads
from batchops.scheduler.dispatcher import Dispatcher
from batchops.scheduler.fires import LEASE, Claimed, Fire
from batchops.scheduler.misfires import MisfirePolicy, OpenFires, Schedule, decide
from batchops.scheduler.places import FireLedgerPlace
from batchops.scheduler.work import Task
from batchops.scheduler.worker_pool import WorkerPool
from batchops.spec.times import Every, due
from tests.clock import Clock

NOON = 1_700_000_000
"""What the database's clock shows when the keeper's shows 0: a multiple of most intervals."""


@dataclass
class Row:
    """One fire in the table."""

    state: str
    token: str = ""
    lease_until: float = 0.0
    rows: int = 0
    began: float = 0.0


class Table:
    """The table of fires; its clock is `ahead` of the keeper's. A `fault` is raised by each call."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.ahead = clock, float(NOON)
        self.fault: Exception | None = None
        self.since: dict[str, int] = {}
        self.rows: dict[tuple[str, int], Row] = {}
        self.beats: list[float] = []
        self.pruned = 0
        self._tokens = itertools.count(1)

    @property
    def now(self) -> float:
        return self.clock.now + self.ahead

    def make(self, schedules: Sequence[Schedule]) -> None:
        self._reached()
        for schedule in schedules:
            self.since.setdefault(schedule.name, int(self.now))

    def claim(self, schedule: Schedule, *, free: bool) -> Claimed:
        self._reached()
        name, now, token = schedule.name, self.now, f"token {next(self._tokens)}"
        last = max([self.since[name], *(at for of, at in self.rows if of == name)])
        coming = [at for at in due(schedule.times, last, int(now), 1000) if schedule.due_at(at) <= now]
        decision = decide(schedule.policy, self._standing(name), coming, now, free=free)
        self.rows |= {(name, one.fire_at): Row(one.state) for one in decision.new}
        starts = [one.fire_at for one in decision.new if one.state == "running"]
        fire = self._begun(name, starts[0] if starts else decision.start, token)
        newest = max([last, *(one.fire_at for one in decision.new)])
        return Claimed(now, tuple(decision.new), fire, decision.waits, last=newest)

    def look(self, names: Collection[str]) -> tuple[float, frozenset[str]]:
        self._reached()
        return self.now, frozenset(
            name for (name, _), row in self.rows.items() if name in names and row.state in ("queued", "running")
        )

    def renew(self, rows_by_token: Mapping[str, int]) -> frozenset[str]:
        self._reached()
        self.beats.append(self.clock.now)
        mine = {row.token: row for row in self.rows.values()}
        for token in rows_by_token.keys() & mine.keys():
            mine[token].lease_until = self.now + LEASE
        return frozenset(rows_by_token.keys() - mine.keys())

    def finish(self, fire: Fire, state: State, rows: int, note: str) -> bool:  # noqa: ARG002  kept for people
        self._reached()
        row = self.rows[fire.schedule, fire.fire_at]
        if row.token != fire.token:
            return False
        row.state, row.rows = state, fire.rows + rows
        return True

    def release(self, fire: Fire, rows: int) -> bool:
        self._reached()
        row = self.rows[fire.schedule, fire.fire_at]
        row.lease_until, row.rows = 0.0, fire.rows + rows
        return row.token == fire.token

    def prune(self) -> None:
        self.pruned += 1

    def of_another(self, name: str, at: int, lease: float, rows: int = 0) -> None:
        """A fire that a scheduler elsewhere runs; its lease lasts so many seconds more."""
        self.rows[name, at] = Row("running", "of another", self.now + lease, rows)

    def _reached(self) -> None:
        if self.fault:
            raise self.fault

    def _standing(self, name: str) -> OpenFires:
        running = {at: row.lease_until > self.now for (of, at), row in self.rows.items() if of == name and
                   row.state == "running"}  # fmt: skip
        queued = tuple(at for (of, at), row in self.rows.items() if of == name and row.state == "queued")
        alive = tuple(at for at, leased in running.items() if leased)
        return OpenFires(alive, tuple(at for at in running if at not in alive), queued)

    def _begun(self, name: str, at: int | None, token: str) -> Fire | None:
        if at is None:
            return None
        row = self.rows[name, at]
        fire = Fire(name, at, token, taken_over=bool(row.token), rows=row.rows)
        row.state, row.token, row.lease_until, row.began = "running", token, self.now + LEASE, self.clock.now
        return fire


class TurnByTurn(Threads):
    """Threads that all run in the test's own: a fire's job once its time is over, the keeper's when the test says."""

    def __init__(self, scene: "Scene") -> None:
        super().__init__(scene.stop.fail, scene.said.append, scene.wait)
        self._scene = scene

    def start(self, name: str, work: Callable[[], object]) -> threading.Thread:
        if name == "dispatcher":
            self._scene.loop = work
        else:
            self._scene.at_work[work] = self._scene.clock.now + self._scene.seconds[name]
        return threading.Thread(target=work)


class Scene:
    """A keeper, its ledger, and what happens at which second of the clock."""

    def __init__(self, workers: int = 10) -> None:
        self.clock = Clock()
        self.clock.now = 0.0
        self.table, self.stop = Table(self.clock), Stop(self.clock)
        self.said: list[str] = []
        self.events: list[Event] = []
        self.seconds: dict[str, float] = {}
        """How long each job takes."""
        self.at_work: dict[Callable[[], object], float] = {}
        self.pauses: list[float] = []
        self.loop: Callable[[], object] = lambda: None
        self._script: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        place = FireLedgerPlace("one", "one place", self._opened)
        slots = WorkerPool(workers, self.clock)
        threads = TurnByTurn(self)
        self.dispatcher = Dispatcher(place, slots, self.stop, self.events.append, self.said.append, threads, self.clock)

    def task(self, name: str, every: int, takes: float = 0.0, ends: str = "done", **policy: Any) -> Task:
        """A job that changes 100 rows in that time; asked to stop before, it does so without."""
        self.seconds[name] = takes

        def run(emit: Emit, stop: Stop) -> Finished:
            if stop.asked:
                return Finished("purge", "t", stop.reason, 143, "")  # type: ignore[arg-type]
            emit(Committed(100, 100, 0.1, 100))
            exit = 0 if ends == "done" else 1
            return Finished("purge", "t", ends, exit, "", rows=100)  # type: ignore[arg-type]

        return Task(name, Schedule(name, Every(every), MisfirePolicy(**policy)), run, self.events.append)

    def at(self, second: float, action: Callable[[], object]) -> None:
        heapq.heappush(self._script, (second, next(self._numbers), action))

    def __call__(self, *tasks: Task, seconds: float) -> None:
        """Keep these for so long; then a stop is asked for, as by SIGTERM, and its end waited for."""
        self.at(seconds, self.ask)
        self.dispatcher.plan(tasks)
        self.dispatcher.start()
        self.loop()

    def ask(self) -> None:
        self.stop.ask("signal", 15)
        for work in self.dispatcher.running():
            work.stop.ask("signal", 15)
        self.dispatcher.call()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """What comes next happens, until the time is over or somebody wakes the keeper."""
        self.pauses.append(seconds)
        end = self.clock.now + seconds
        while not event.is_set():
            ends = {self._end(work, at): work for work, at in self.at_work.items()}
            second = min([end, *ends, *(at for at, *_ in self._script[:1])])
            self.clock.now = max(self.clock.now, second)
            if second in ends:
                self.at_work.pop(ends[second])
                ends[second]()
            elif self._script and self._script[0][0] <= second:
                heapq.heappop(self._script)[-1]()
            elif second == end:
                return False
        return True

    def states(self, name: str) -> Counter[str]:
        return Counter(row.state for (of, _), row in self.table.rows.items() if of == name)

    def began(self, name: str) -> list[float]:
        """When fires were begun, as seconds of the scene."""
        return [row.began for (of, _), row in self.table.rows.items() if of == name and row.token]

    def heard(self, state: str) -> list[Fired]:
        return [event for event in self.events if isinstance(event, Fired) and event.state == state]

    def _end(self, work: Callable[[], object], at: float) -> float:
        """One that was asked to stop does so now."""
        return self.clock.now if work.__self__.stop.asked else at  # type: ignore[attr-defined]  # a method of Work

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        self.table._reached()
        yield self.table
