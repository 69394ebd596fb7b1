"""All schedules of one process: a dispatcher for each ledger, workers that they share, and one end for all."""

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
"""Seconds between two looks at whether there is something to do."""


class Scheduler:
    """Stays up until `stop` is asked; a plan may be put in the place of another at any time."""

    def __init__(self, workers: int, stop: Stop, emit: Emit, note: Note) -> None:
        self._pool = WorkerPool(workers)
        self._stop, self._emit, self._note = stop, emit, note
        self._threads = Threads(stop.fail, note)
        self._dispatchers: dict[FireLedgerPlace, Dispatcher] = {}
        self._leaving: list[Dispatcher] = []
        self._rows: dict[FireLedgerPlace, SchedulerRow] = {}

    @property
    def dispatchers(self) -> tuple[Dispatcher, ...]:
        """Those running, one for each ledger, and those that are about to leave."""
        return (*self._dispatchers.values(), *(dispatcher for dispatcher in self._leaving if dispatcher.alive))

    def plan(self, tasks_by_place: Mapping[FireLedgerPlace, Sequence[Task]]) -> None:
        """From now on these; what is running ends as it was begun."""
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
        """Until asked to stop; then until what is in progress is finished and written down."""
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
        """A fire has a Stop of its own, as it may also be stopped alone."""
        for work in dispatcher.running():
            if not work.stop.asked:
                work.stop.ask(self._stop.reason or "stopped", self._stop.signal)
            if self._stop.hurried:
                work.stop.hurry()
        dispatcher.wake()
