"""All schedules of one process: a keeper for each ledger, workers that they share, and one end for all."""

import time
from collections.abc import Callable, Mapping, Sequence

from batchops.events import Emit
from batchops.runtime.stop import Stop
from batchops.runtime.threads import Threads
from batchops.scheduler.dispatcher import Keeper, Place, Say
from batchops.scheduler.work import Task
from batchops.scheduler.worker_pool import Slots

ROUND = 0.2
"""Seconds between two looks at whether there is something to do."""


class Scheduler:
    """Stays up until `stop` is asked; a plan may be put in the place of another at any time."""

    def __init__(self, workers: int, stop: Stop, tell: Emit, say: Say) -> None:
        self._slots = Slots(workers)
        self._stop, self._tell, self._say = stop, tell, say
        self._threads = Threads(stop.fail, say)
        self._keepers: dict[Place, Keeper] = {}
        self._leaving: list[Keeper] = []

    @property
    def keepers(self) -> tuple[Keeper, ...]:
        """Those at work, one for each ledger, and those that are about to leave."""
        return (*self._keepers.values(), *(keeper for keeper in self._leaving if keeper.alive))

    def plan(self, tasks_by_place: Mapping[Place, Sequence[Task]]) -> None:
        """From now on these; what is at work ends as it was begun."""
        for place in self._keepers.keys() - tasks_by_place.keys():
            self._leaving.append(self._keepers.pop(place))
            self._leaving[-1].plan(())
        for place, tasks in tasks_by_place.items():
            if place not in self._keepers:
                keeper = Keeper(place, self._slots, self._stop, self._tell, self._say, self._threads)
                self._keepers[place] = keeper
                self._keepers[place].plan(tasks)
                self._keepers[place].start()
            self._keepers[place].plan(tasks)

    def serve(self, each_round: Callable[[], None]) -> None:
        """Until asked to stop; then until what is in hand is finished and written down."""
        while not self._stop.asked:
            each_round()
            self._stop.sleep(ROUND)
        for keeper in self.keepers:
            keeper.call()
        while any(keeper.alive for keeper in self.keepers):
            for keeper in self.keepers:
                self._pass_on(keeper)
            time.sleep(ROUND / 4)

    def _pass_on(self, keeper: Keeper) -> None:
        """A fire has a Stop of its own, as it may also be stopped alone."""
        for work in keeper.running():
            if not work.stop.asked:
                work.stop.ask(self._stop.reason or "stopped", self._stop.signal)
            if self._stop.hurried:
                work.stop.hurry()
        keeper.wake()
