"""The keeper of schedules by a clock of its own: due times, overlaps, leases, a ledger that is gone, and the end."""

import itertools

import pytest

from batchops.errors import UnreachableError
from batchops.scheduler.dispatcher import BACKOFF, CLOSE_TIMEOUT, LOOK_SECONDS, PRUNED
from batchops.scheduler.fires import LEASE
from tests.scheduler.fires import NOON, Scene

GONE = UnreachableError("the server is gone")


def test_each_fire_begins_when_it_is_due() -> None:
    scene = Scene()
    scene(scene.task("quick", every=10, takes=3.0), seconds=65.0)
    assert scene.states("quick") == {"ran": 6}
    assert scene.began("quick") == pytest.approx([10, 20, 30, 40, 50, 60], abs=0.02)
    assert [fired.rows for fired in scene.heard("ran")] == [100] * 6
    assert len(scene.pauses) < 60, "it sleeps until something is due"


@pytest.mark.parametrize(
    ("overlap", "states", "began"),
    [
        ("skip", {"ran": 2, "skipped": 4}, [10, 40]),
        ("queue", {"ran": 2, "coalesced": 2, "queued": 1, "running": 1}, [10, 34, 58]),
        ("parallel", {"ran": 4, "running": 2}, [10, 20, 30, 40, 50, 60]),
    ],
)
def test_a_fire_that_is_due_while_an_earlier_one_is_at_work(
    overlap: str, states: dict[str, int], began: list[float]
) -> None:
    scene = Scene()
    scene(scene.task("slow", every=10, takes=24.0, overlap=overlap), seconds=65.0)
    assert scene.began("slow")[: len(began)] == pytest.approx(began, abs=0.02)
    assert scene.states("slow") == states


def test_one_worker_starves_nobody() -> None:
    scene = Scene(workers=1)
    names = [f"job{n}" for n in range(4)]
    scene(*(scene.task(name, every=1, takes=0.6) for name in names), seconds=30.0)
    assert all(10 <= scene.states(name)["ran"] <= 14 for name in names)


def test_a_failing_job_stops_no_other() -> None:
    scene = Scene()
    scene(scene.task("good", every=5), scene.task("bad", every=5, ends="failed"), seconds=22.0)
    assert (scene.states("good"), scene.states("bad")) == ({"ran": 4}, {"failed": 4})


def test_jitter_delays_a_fire_and_none_is_lost() -> None:
    scene = Scene()
    scene(scene.task("quick", every=10, jitter=9.0), seconds=70.0)
    late = [began - at for began, at in zip(scene.began("quick"), range(10, 70, 10), strict=True)]
    assert all(0 <= each < 9.1 for each in late)
    assert max(late) - min(late) > 1


def test_a_fire_at_work_keeps_its_lease() -> None:
    scene = Scene()
    scene(scene.task("slow", every=100, takes=50.0), seconds=155.0)
    assert scene.states("slow") == {"ran": 1}
    beats = [at for at in scene.table.beats if at >= 100]
    assert len(beats) >= 9
    assert all(later - earlier < LEASE / 2 for earlier, later in itertools.pairwise(beats))


def test_a_fire_that_another_has_by_now_is_stopped() -> None:
    scene = Scene()
    scene.at(112.0, lambda: scene.table.of_another("slow", NOON + 100, LEASE))
    scene(scene.task("slow", every=100, takes=60.0), seconds=130.0)
    assert "slow: another scheduler had taken this fire over" in scene.said
    assert scene.heard("ran") == []


def test_a_dead_scheduler_s_fire_is_taken_over_once_its_lease_is_over() -> None:
    scene = Scene()
    scene.at(100.0, lambda: scene.table.of_another("slow", NOON + 100, LEASE, rows=40))
    scene(scene.task("slow", every=100, takes=2.0), seconds=130.0)
    assert scene.states("slow") == {"taken over": 1}
    assert 100 + LEASE <= scene.began("slow")[0] <= 100 + LEASE + LOOK_SECONDS + 0.1
    assert scene.table.rows["slow", NOON + 100].rows == 140


def test_what_was_due_while_the_ledger_was_gone_is_made_up_for_once() -> None:
    scene = Scene()
    scene.at(15.0, lambda: setattr(scene.table, "fault", GONE))
    scene.at(55.0, lambda: setattr(scene.table, "fault", None))
    scene(scene.task("quick", every=10), seconds=75.0)
    assert scene.states("quick") == {"ran": 4, "coalesced": 3}
    assert scene.said == [
        "error: the ledger in one place: the server is gone",
        "the ledger in one place is reached again",
    ]
    assert scene.began("quick")[1] <= 55 + BACKOFF.longest + 0.1


def test_a_ledger_that_is_gone_is_tried_ever_more_slowly_and_never_in_a_hurry() -> None:
    scene = Scene()
    scene.table.fault = GONE
    scene.at(0.1, scene.dispatcher.wake)
    scene(scene.task("quick", every=1), seconds=60.0)
    assert scene.pauses[:6] == [0.5, 1.0, 2.0, 4.0, BACKOFF.longest, BACKOFF.longest]
    assert scene.dispatcher.trouble is GONE


def test_an_end_that_could_not_be_written_down_is_written_later() -> None:
    scene = Scene()
    scene.at(11.0, lambda: setattr(scene.table, "fault", GONE))
    scene.at(20.0, lambda: setattr(scene.table, "fault", None))
    scene(scene.task("slow", every=10, takes=5.0, missed="skip"), seconds=29.0)
    assert scene.table.rows["slow", NOON + 10].state == "ran"


def test_a_bug_is_said_and_the_schedules_go_on() -> None:
    scene = Scene()
    scene.at(5.0, lambda: setattr(scene.table, "fault", KeyError("odd")))
    scene.at(15.0, lambda: setattr(scene.table, "fault", None))
    scene(scene.task("quick", every=10), seconds=45.0)
    assert "error: the ledger in one place: KeyError: 'odd' Hint: this is a bug." in scene.said
    assert scene.states("quick") == {"ran": 4}


@pytest.mark.parametrize("leap", [3600.0, -30.0])
def test_a_database_s_clock_that_is_set_anew_is_noticed_within_a_look(leap: float) -> None:
    scene = Scene()
    scene.at(61.0, lambda: setattr(scene.table, "ahead", NOON + leap))
    scene(scene.task("quick", every=20), seconds=140.0)
    began = [at for at in scene.began("quick") if at > 61]
    assert began[0] <= 61 + max(0.0, -leap) + LOOK_SECONDS + 20.1
    if leap > 0:
        assert began[0] <= 61 + LOOK_SECONDS + 0.1
        assert scene.states("quick")["coalesced"] == 179


def test_a_new_plan_takes_the_place_of_the_old_one_at_once() -> None:
    scene = Scene()
    old, new = scene.task("old", every=10, takes=5.0), scene.task("new", every=10)
    scene.at(11.0, lambda: scene.dispatcher.plan([new]))
    scene(old, seconds=45.0)
    assert (scene.states("old"), scene.states("new")) == ({"ran": 1}, {"ran": 3})


def test_without_a_plan_it_ends_once_nothing_is_at_work() -> None:
    scene = Scene()
    scene.at(11.0, lambda: scene.dispatcher.plan([]))
    scene(scene.task("old", every=10, takes=5.0), seconds=1000.0)
    assert scene.states("old") == {"ran": 1}
    assert (scene.dispatcher.idle, scene.stop.asked, scene.clock.now) == (True, False, pytest.approx(15.0, abs=0.02))


def test_at_a_stop_what_is_in_hand_is_left_for_the_next_scheduler() -> None:
    scene = Scene()
    scene(scene.task("slow", every=10, takes=50.0), seconds=15.0)
    assert scene.states("slow") == {"running": 1}
    assert scene.table.rows["slow", NOON + 10].lease_until == 0.0
    assert "slow: interrupted; another scheduler continues it" in scene.said
    assert scene.clock.now == pytest.approx(15.0, abs=0.2)


def test_at_a_stop_a_ledger_that_is_gone_is_not_waited_for_for_ever() -> None:
    scene = Scene()
    scene.at(12.0, lambda: setattr(scene.table, "fault", GONE))
    scene(scene.task("slow", every=10, takes=50.0), seconds=15.0)
    assert scene.clock.now == pytest.approx(15.0 + CLOSE_TIMEOUT, abs=1.1)


def test_old_fires_are_cleared_away_now_and_then() -> None:
    scene = Scene()
    scene(scene.task("rare", every=600), seconds=2.5 * PRUNED)
    assert scene.table.pruned == 3
