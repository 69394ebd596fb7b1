"""Rests of a worker that finds nothing, and workers that schedules wait for."""

from batchops.runtime.idle import FIRST, Idle
from batchops.scheduler.worker_pool import WorkerPool
from tests.clock import Clock


def test_sleeps_double_up_to_the_longest() -> None:
    idle = Idle(lambda: None, 2.0, draw=lambda: 1.0)
    assert [idle.next_sleep() for _ in range(8)] == [FIRST * 2**n for n in range(6)] + [2.0, 2.0]
    idle.worked()
    assert idle.next_sleep() == FIRST


def test_jitter_only_shortens_a_rest() -> None:
    idle = Idle(lambda: None, FIRST, draw=lambda: 0.0)
    assert [idle.next_sleep() for _ in range(3)] == [0.75 * FIRST] * 3


def test_a_sleep_ends_when_something_falls_due_and_is_never_none() -> None:
    due = iter([0.5, 0.0, 100.0])
    idle = Idle(lambda: next(due), 60.0, draw=lambda: 1.0)
    idle._sleeps = 20
    assert [idle.next_sleep() for _ in range(3)] == [0.5, 0.02, 60.0]


def test_whoever_has_waited_longest_is_next() -> None:
    clock = Clock()
    slots = WorkerPool(1, clock)
    assert slots.acquire("busy")
    for name in ("first", "second"):
        clock.now += 1
        assert not slots.acquire(name)
    slots.release()
    clock.now += 1
    assert [name for name in ("busy", "second", "first") if slots.acquire(name)] == ["first"]
    slots.release()
    assert [name for name in ("busy", "second") if slots.acquire(name)] == ["second"]


def test_whoever_waits_no_longer_keeps_nobody_up() -> None:
    clock = Clock()
    slots, woken = WorkerPool(1, clock), list[str]()
    slots.freed.append(lambda: woken.append("woken"))
    assert slots.acquire("busy")
    clock.now += 1
    assert not slots.acquire("gone")
    clock.now += 1
    assert not slots.acquire("here")
    slots.forget("gone")
    slots.release()
    assert (slots.acquire("here"), woken) == (True, ["woken"])
