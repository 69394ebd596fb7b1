"""run_in_threads(): runs several loops at the same time, each in a thread of its own."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from batchops.errors import Exit, gravity
from batchops.events import Emit
from batchops.runtime.ending import Ending, ending_of
from batchops.runtime.live_settings import WorkerCount
from batchops.runtime.loop import REPLAN, SURPLUS, LoopSettings, RunStats, run
from batchops.runtime.stop import Stop
from batchops.runtime.threads import Threads


def run_in_threads(
    job: Callable[[], LoopSettings], workers: WorkerCount, emit: Emit, stop: Stop, stats: RunStats, threads: Threads
) -> Ending:  # fmt: skip
    """Run a loop for each worker and return the gravest ending; an error of one ends the others after their batch."""
    endings: list[Ending] = []

    def work() -> None:
        mine, ending = None, Ending(SURPLUS, Exit.DONE)
        try:
            mine = job()
            ending = run(replace(mine, surplus=workers.surplus), emit, stop, stats)
            if ending.error is not None:
                stop.ask(ending.reason)
        except BaseException as error:  # noqa: BLE001  the run ends by it, once no worker is running
            stop.fail(error)
            ending = ending_of(error)
        finally:
            if mine is not None:
                mine.leave()
            if ending.reason != SURPLUS:
                workers.ended()
        endings.append(ending)

    _in_threads(work, workers, stop, threads)
    return gravest([*endings, ending_of(stop.error)] if stop.error else endings)


def _in_threads(work: Callable[[], None], workers: WorkerCount, stop: Stop, threads: Threads) -> None:
    """Call `work` in this thread and in others, and wait until all have ended."""
    others: list[threading.Thread] = []
    first: list[bool] = []

    def start() -> None:
        if not first:  # the first worker is this thread, which begins once the others have begun
            first.append(True)
            return
        others.append(threads.start(f"worker-{len(others) + 1}", work))

    try:
        with workers.starting(start):
            work()
            _join(others, stop)
    except BaseException as error:  # noqa: BLE001  no further thread can be started, or Ctrl-C: the others are running
        stop.fail(error)
    _join(others, stop)  # also one that was started last


def _join(others: Sequence[threading.Thread], stop: Stop) -> None:
    while any(thread.is_alive() for thread in others):
        try:
            for thread in tuple(others):
                thread.join()
        except KeyboardInterrupt as error:  # a library's caller may not handle signals
            if stop.error is not None:
                stop.hurry()
            stop.fail(error)


def gravest(endings: list[Ending]) -> Ending:
    """Return the ending with the gravest exit code; a limit or a replan counts before "done", SURPLUS last."""
    endings = [ending for ending in endings if ending.reason != SURPLUS] or endings

    def rank(ending: Ending) -> tuple[int, int]:
        replan = ending.reason == REPLAN  # the run is to continue, even if some of its rows were rejected
        return gravity(Exit.BUSY) if replan else gravity(ending.exit), 2 * (ending.reason == "done") + replan

    return min(endings, key=rank)
