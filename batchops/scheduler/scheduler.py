"""Scheduler: runs all schedules of one process, with a dispatcher for each ledger and a shared pool of workers."""

import time
from collections.abc import Callable, Mapping, Sequence

from batchops.events import Emit, Event
from batchops.runtime.stop import Stop
from batchops.runtime.threads import Threads
from batchops.scheduler.dispatcher import Dispatcher, Note
from batchops.scheduler.places import FireLedgerPlace
from batchops.scheduler.scheduler_row import SchedulerRow
from batchops.scheduler.work import Task
from batchops.scheduler.worker_pool import WorkerPool

ROUND = 0.2
"""Seconds between two calls of `each_round`."""


class Scheduler:
    """Runs until `stop` is asked; its plan can be replaced at any time."""

    def __init__(self, workers: int, stop: Stop, emit: Emit, note: Note) -> None:
        self._pool = WorkerPool(workers)
        self._stop, self._emit, self._note = stop, emit, note
        self._threads = Threads(stop.fail, note)
        self._dispatchers: dict[FireLedgerPlace, Dispatcher] = {}
        self._leaving: list[Dispatcher] = []
        self._rows: dict[FireLedgerPlace, SchedulerRow] = {}

    @property
    def dispatchers(self) -> tuple[Dispatcher, ...]:
        """The dispatchers, one for each ledger, and those of an earlier plan that still end their fires."""
        return (*self._dispatchers.values(), *(dispatcher for dispatcher in self._leaving if dispatcher.alive))

    def plan(self, tasks_by_place: Mapping[FireLedgerPlace, Sequence[Task]]) -> None:
        """Set the tasks of each ledger from now on; a running fire ends with the task that it began with."""
        for place in self._dispatchers.keys() - tasks_by_place.keys():
            self._leaving.append(self._dispatchers.pop(place))
            self._leaving[-1].plan(())
            self._rows.pop(place).close()
        for place, tasks in tasks_by_place.items():
            if place not in self._dispatchers:
                self._begin(place, tasks)
            self._dispatchers[place].plan(tasks)

    def _begin(self, place: FireLedgerPlace, tasks: Sequence[Task]) -> None:
        row = SchedulerRow(place, tasks, self._stop, self._note, self._threads)

        def emit(event: Event) -> None:
            row.count(event)
            self._emit(event)

        dispatcher = Dispatcher(place, self._pool, self._stop, emit, self._note, self._threads, held=row.held)
        self._dispatchers[place], self._rows[place] = dispatcher, row
        dispatcher.plan(tasks)
        dispatcher.start()

    def serve(self, each_round: Callable[[], None]) -> None:
        """Call `each_round` until asked to stop; then wait until all running fires have ended and are recorded."""
        while not self._stop.asked:
            each_round()
            self._stop.sleep(ROUND)
        for dispatcher in self.dispatchers:
            dispatcher.call()
        while any(dispatcher.alive for dispatcher in self.dispatchers):
            for dispatcher in self.dispatchers:
                self._pass_on(dispatcher)
            time.sleep(ROUND / 4)
        for row in self._rows.values():
            row.close()

    def _pass_on(self, dispatcher: Dispatcher) -> None:
        """Ask the running fires to stop too: each has a Stop of its own, as it may also be stopped alone."""
        for work in dispatcher.running():
            if not work.stop.asked:
                work.stop.ask(self._stop.reason or "stopped", self._stop.signal)
            if self._stop.hurried:
                work.stop.hurry()
        dispatcher.wake()
