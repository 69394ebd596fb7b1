"""Every run that was told to begin is told how it ended, once, whatever happens in between and whoever raises."""

import pytest

from batchops.errors import BatchopsError, Exit, RefusedError
from batchops.events import Committed, Event, Finished, Started
from batchops.runtime.batch_size import Size
from batchops.runtime.ending import Ending, finished
from batchops.runtime.lifecycle import EventEmitter, whole_run
from batchops.runtime.live_settings import WorkerCount
from batchops.runtime.loop import LoopSettings, RunStats, run
from batchops.runtime.outcome import Outcome
from batchops.runtime.parallel import run_in_threads
from batchops.runtime.stop import Stop

STARTED = Started(None, "purge", "t", "key", False, None, None)
BREAKS = [ValueError("x"), MemoryError(), RecursionError(), GeneratorExit(), SystemExit(3), KeyboardInterrupt()]
named = pytest.mark.parametrize("error", BREAKS, ids=lambda error: type(error).__name__)


class Listener:
    """Remembers what it hears, and raises at the events of one kind."""

    def __init__(self, at: type[Event] | None = None, error: BaseException | None = None) -> None:
        self.heard: list[Event] = []
        self._at, self._error = at, error

    def __call__(self, event: Event) -> None:
        self.heard.append(event)
        if self._at is not None and isinstance(event, self._at):
            assert self._error is not None
            raise self._error

    @property
    def ends(self) -> list[Finished]:
        return [event for event in self.heard if isinstance(event, Finished)]


class Batches:
    """A step with so many batches of ten rows; each may raise."""

    def __init__(self, number: int, error: BaseException | None = None) -> None:
        self.left, self._error = number, error

    def __call__(self, _: Size) -> Outcome | None:
        if self._error is not None:
            raise self._error
        self.left -= 1
        return Outcome(10, 10) if self.left >= 0 else None


def ran(listener: Listener, step: Batches, stop: Stop, workers: int = 1) -> Finished:
    stats = RunStats()

    def end(ending: Ending) -> Finished:
        return finished("purge", "t", "key", ending, stats)

    def work(telling: EventEmitter, stop: Stop) -> Finished:
        telling(STARTED)
        if workers == 1:
            return end(run(LoopSettings(step), telling, stop, stats))
        return end(
            run_in_threads(lambda: LoopSettings(step), WorkerCount(workers), telling, stop, stats, telling.threads)
        )

    return whole_run(listener, stop, work, end)


@named
@pytest.mark.parametrize("at", [Started, Committed, Finished], ids=lambda at: at.__name__)
@pytest.mark.parametrize("workers", [1, 3])
def test_a_listener_that_raises(error: BaseException, at: type[Event], workers: int) -> None:
    stop, listener, step = Stop(), Listener(at, error), Batches(5)
    with pytest.raises(type(error)) as raised:
        ran(listener, step, stop, workers)
    assert raised.value is error
    assert isinstance(listener.heard[0], Started)
    (end,) = listener.ends
    assert listener.heard[-1] is end
    assert not stop.asked
    if at is Finished:
        assert (end.reason, end.rows) == ("done", 50)
    elif isinstance(error, KeyboardInterrupt):
        assert (end.reason, end.exit) == ("signal", Exit.INTERRUPT)
    else:
        assert (end.reason, end.exit) == ("failed", Exit.FAILED)
        assert end.error is not None
        assert type(error).__name__ in end.error.message
        assert end.rows == 10 * (5 - step.left if step.left >= 0 else 5)


@named
@pytest.mark.parametrize("workers", [1, 3])
def test_a_bug_in_a_batch_is_told_and_raised(error: BaseException, workers: int) -> None:
    stop, listener = Stop(), Listener()
    with pytest.raises(type(error)):
        ran(listener, Batches(5, error), stop, workers)
    assert [type(event) for event in listener.heard] == [Started, Finished]
    assert listener.ends[0].reason == ("signal" if isinstance(error, KeyboardInterrupt) else "failed")
    assert not stop.asked


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_of_ours_is_told_and_returned(workers: int) -> None:
    listener = Listener()
    end = ran(listener, Batches(5, RefusedError("no", "ask")), Stop(), workers)
    assert listener.ends == [end]
    assert (end.reason, end.exit) == ("refused", Exit.REFUSED)


@named
def test_an_error_before_the_beginning_is_raised_and_nothing_told(error: BaseException) -> None:
    listener = Listener()

    def work(_: EventEmitter, __: Stop) -> Finished:
        raise error

    with pytest.raises(type(error)):
        whole_run(listener, Stop(), work, lambda ending: finished("purge", "t", "key", ending, RunStats()))
    assert listener.heard == []


@named
def test_an_error_beside_the_loop_is_told_with_what_was_done(error: BaseException) -> None:
    """Between Started and the loop, or behind it."""
    listener, stats = Listener(), RunStats(rows=7)

    def work(telling: EventEmitter, _: Stop) -> Finished:
        telling(STARTED)
        raise error

    with pytest.raises(type(error)):
        whole_run(listener, Stop(), work, lambda ending: finished("purge", "t", "key", ending, stats))
    (end,) = listener.ends
    assert end.rows == 7


def test_a_thread_s_error_ends_the_run_after_its_batch() -> None:
    listener, stats = Listener(), RunStats()

    def end(ending: Ending) -> Finished:
        return finished("purge", "t", "key", ending, stats)

    def work(telling: EventEmitter, stop: Stop) -> Finished:
        telling(STARTED)

        def fall() -> None:
            raise BatchopsError("the heartbeat fell")

        telling.threads.start("heartbeat", fall)
        stop.sleep(30.0)
        return end(run(LoopSettings(Batches(5)), telling, stop, stats))

    assert whole_run(listener, Stop(), work, end).error is not None
    assert [type(event) for event in listener.heard] == [Started, Finished]
