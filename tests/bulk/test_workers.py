"""Who works on which part of a walk, by turns instead of threads: halves, hand-overs, another turn, errors."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.bulk.workers import Workers, WorkerStep
from batchops.errors import BatchopsError, ConnectionLostError, OutcomeUnknownError
from batchops.ledger.run import Worker
from batchops.runtime.ending import Ending
from batchops.runtime.loop import REPLAN, RunStats
from batchops.runtime.parallel import gravest
from batchops.runtime.stop import Stop

WHOLE = Range((0,), (1000,))


@dataclass
class Strategy:
    """Ranges of numbers, halved down to 100; at the end as many turns more as it is given."""

    turns: list[Cursor] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)

    def split(self, connection: object, way: Range) -> tuple[Range, Range] | None:  # noqa: ARG002  no database
        assert way.after
        assert way.upto
        first, last = int(way.after[0]), int(way.upto[0])
        if last - first < 200:
            return None
        half = ((first + last) // 2,)
        return replace(way, upto=half), replace(way, after=half)

    def another_pass(self, connection: object, cursor: Cursor, rows: int) -> Cursor | None:  # noqa: ARG002
        self.asked.append(rows)
        return self.turns.pop(0) if self.turns else None


@dataclass
class Kept:
    """The ledger's rows of workers; `fault` is raised by the next transaction's end."""

    cursors: dict[int, str] = field(default_factory=dict)
    fault: BatchopsError | None = None

    @property
    def database(self) -> "Kept":
        return self

    @contextmanager
    def transaction(self) -> Iterator[None]:
        before = dict(self.cursors)
        yield
        if self.fault:
            self.cursors, fault, self.fault = before, self.fault, None
            raise fault

    @contextmanager
    def reading(self) -> Iterator[None]:
        yield

    def reassign(self, connection: object, lane: Worker, cursor: str) -> Worker:  # noqa: ARG002
        self.cursors[lane.number] = cursor
        return replace(lane, cursor=cursor)

    def new_worker(self, connection: object, run: int, number: int, cursor: str) -> Worker:  # noqa: ARG002
        self.cursors[number] = cursor
        return Worker(run, number, "token", cursor)


class Step:
    """A worker's step; a call works through the range in hand."""

    def __init__(self, lane: Worker) -> None:
        self.worker = lane
        self.in_doubt = False
        self.between_batches = threading.Lock()

    @property
    def cursor(self) -> Cursor:
        return Cursor.loaded(self.worker.cursor)

    def over(self, rows: int = 0) -> None:
        self.worker = replace(self.worker, cursor=replace(self.cursor, ranges=()).dumped(), rows=rows)


class Scene:
    """Workers, and what happens whenever a worker waits."""

    def __init__(self, *ranges: Range, turns: int = 0, meanwhile: Callable[["Scene"], None] | None = None) -> None:
        lane = Worker(1, 0, "token", Cursor(ranges or (WHOLE,)).dumped())
        self.kept, self.stop, self.tally = Kept({0: lane.cursor}), Stop(), RunStats()
        self.strategy = Strategy([Cursor((WHOLE,), passes=n + 1) for n in range(turns)])
        self.waits = 0
        self._meanwhile = meanwhile
        self.lanes = Workers(self.kept, self.strategy, self.kept, Run((lane,)), Step, self.stop, self.tally, self._wait)  # type: ignore[arg-type]

    def take(self, mine: Any = None) -> Any:
        return self.lanes.take_step(mine)

    def _wait(self, condition: threading.Condition, seconds: float) -> None:  # noqa: ARG002  no time passes
        self.waits += 1
        assert self._meanwhile, "nobody else would wake it"
        self._meanwhile(self)


@dataclass
class Run:
    """Of which only the workers count here."""

    workers: tuple[Worker, ...]


def bounds(step: Step) -> list[tuple[int, int]]:
    return [(way.after[0], way.upto[0]) for way in step.cursor.ranges]  # type: ignore[index,misc]


def test_the_first_has_the_whole_way_and_each_other_the_far_half_of_one() -> None:
    scene = Scene()
    first, second, third = scene.take(), scene.take(), scene.take()
    assert [bounds(step) for step in (first, second, third)] == [[(0, 250)], [(500, 1000)], [(250, 500)]]
    assert scene.kept.cursors == {step.worker.number: step.worker.cursor for step in (first, second, third)}
    assert [step.worker.number for step in (first, second, third)] == [0, 1, 2]


def test_of_several_ranges_the_later_ones_are_handed_over_without_asking_the_database() -> None:
    ranges = [Range((n,), (n + 1,)) for n in range(5)]
    scene = Scene(*ranges)
    first, second = scene.take(), scene.take()
    assert (bounds(first), bounds(second)) == ([(0, 1), (1, 2), (2, 3)], [(3, 4), (4, 5)])


def test_a_worker_that_is_over_is_used_again() -> None:
    scene = Scene()
    first, second = scene.take(), scene.take()
    second.over()
    again = scene.take(second)
    assert again is second
    assert (bounds(first), bounds(again)) == ([(0, 250)], [(250, 500)])
    assert sorted(scene.kept.cursors) == [0, 1]


def test_a_part_that_is_too_short_is_waited_for_and_then_nothing_is_left() -> None:
    def finish(scene: Scene) -> None:
        if scene.waits == 3:
            first.over()
            scene.lanes.release(first)

    scene = Scene(Range((0,), (150,)), meanwhile=finish)
    first = scene.take()
    assert scene.take() is None
    assert scene.waits == 3


def test_a_batch_in_doubt_is_split_only_once_it_is_settled() -> None:
    def settle(scene: Scene) -> None:  # noqa: ARG001
        first.in_doubt = False

    scene = Scene(meanwhile=settle)
    first = scene.take()
    first.in_doubt = True
    assert bounds(scene.take()) == [(500, 1000)]
    assert scene.waits == 1


def test_a_temporary_error_at_a_hand_over_is_tried_again_and_loses_nothing() -> None:
    scene = Scene(meanwhile=lambda _: None)
    first = scene.take()
    scene.kept.fault = ConnectionLostError("gone")
    assert bounds(scene.take()) == [(500, 1000)]
    assert (bounds(first), scene.waits) == ([(0, 500)], 1)


def test_another_error_at_a_hand_over_ends_the_worker_and_nobody_s_way_changes() -> None:
    scene = Scene()
    first, second = scene.take(), scene.take()
    second.over()
    scene.kept.fault = BatchopsError("odd")
    with pytest.raises(BatchopsError, match="odd"):
        scene.take(second)
    assert (bounds(first), scene.stop.asked) == ([(0, 500)], False)
    assert bounds(scene.take()) == [(250, 500)], "the worker that was laid down is there for others"


def test_where_a_hand_over_may_be_durable_or_not_the_run_ends() -> None:
    scene = Scene(meanwhile=lambda _: None)
    scene.take()
    scene.kept.fault = OutcomeUnknownError("no answer")
    assert scene.take() is None
    assert scene.stop.reason == "busy"


def test_a_further_pass_begins_once_every_worker_is_over() -> None:
    scene = Scene(turns=1)
    first, second = scene.take(), scene.take()
    scene.tally.locked = 7
    first.over(rows=30)
    scene.lanes.release(first)
    assert scene.strategy.asked == []
    second.over(rows=12)
    again = scene.take(second)
    assert scene.strategy.asked == [42]
    assert (bounds(again), again.cursor.passes, scene.tally.locked) == ([(0, 1000)], 1, 0)
    again.over()
    assert scene.take(again) is None


def test_a_stop_ends_a_worker_that_waits() -> None:
    scene = Scene(Range((0,), (150,)), meanwhile=lambda scene: scene.stop.ask("signal", 15))
    scene.take()
    assert scene.take() is None


def test_a_thread_s_step_takes_its_worker_while_idle_and_leaves_it_for_others() -> None:
    scene = Scene()
    worker, other = WorkerStep(scene.lanes), WorkerStep(scene.lanes)
    assert worker(None) is None  # type: ignore[arg-type]  # it has no worker yet
    assert (worker.idle(), other.idle()) == (0.0, 0.0)
    other.leave()
    assert bounds(scene.take()) == [(500, 1000)]


def test_the_gravest_ending_counts_and_a_replan_before_done() -> None:
    done, limit, turned = Ending("done", 0), Ending("max-rows", 0), Ending(REPLAN, 0)
    refused, incomplete = Ending("refused", 12), Ending("incomplete", 3)
    assert gravest([done, limit]) == limit
    assert gravest([done, turned, incomplete]) == turned
    assert gravest([done, incomplete, refused, turned]) == refused
