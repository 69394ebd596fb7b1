"""Programs as children: real ones, ended with all that they have started; their time by a clock of the test's own."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from batchops.queue.handlers.child_process import LAST_SECONDS, Child, Spawner, TimeLimit
from batchops.runtime.stop import Stop
from tests.runtime.test_stop import Clock


@pytest.fixture
def spawner() -> Iterator[Spawner]:
    with closing(Spawner()) as spawner:
        yield spawner


def shell(spawner: Spawner, script: str) -> Child:
    return spawner.start(["sh", "-c", script], reads="stdout")


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)


def read_line(child: Child) -> str:
    said = b""
    while b"\n" not in said:
        said += child.wait_for_output(60)
    return said.decode().strip()


def gone(pid: int) -> bool:
    """Whether no such process is at work any more; one that has ended may wait to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def alive_for(seconds: float) -> Callable[[], float]:
    end = time.monotonic() + seconds
    return lambda: end - time.monotonic()


def test_a_program_has_ended_though_a_helper_holds_its_stream(spawner: Spawner) -> None:
    child = shell(spawner, "sleep 600 & echo $!")
    helper = int(read_line(child))
    while not child.ended:
        child.wait_for_output(60)
    assert child.read_rest() == b""
    child.leave()
    assert (child.code, gone(helper)) == (0, False)
    os.kill(helper, signal.SIGKILL)


def test_the_end_of_a_program_is_the_end_of_all_it_has_started(spawner: Spawner) -> None:
    child = shell(spawner, "sleep 600 & echo $!; wait")
    helper = int(read_line(child))
    child.end(alive_for(60))
    wait_for(lambda: gone(helper))
    assert child.code == -signal.SIGTERM


def test_a_group_that_has_ended_gets_no_signal(spawner: Spawner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number may belong to other processes by then."""
    child, sent, killpg = shell(spawner, "sleep 600"), [], os.killpg

    def noted(group: int, number: int) -> None:
        sent.append(number)
        killpg(group, number)

    monkeypatch.setattr(os, "killpg", noted)
    child.end(alive_for(60))
    assert {*sent} == {signal.SIGTERM, 0}


def test_what_ignores_sigterm_is_killed(spawner: Spawner) -> None:
    child = shell(spawner, "trap '' TERM; (trap '' TERM; while :; do sleep 1; done) & echo $!; wait; wait")
    helper = int(read_line(child))
    child.end(alive_for(0.3))
    wait_for(lambda: gone(helper))
    assert child.code == -signal.SIGKILL


def test_sigterm_leaves_time_to_tidy_up(spawner: Spawner) -> None:
    child = shell(spawner, "trap 'sleep 0.2; echo tidied; exit 3' TERM; echo up; while :; do sleep 0.05; done")
    assert read_line(child) == "up"
    child.signal(signal.SIGTERM)
    assert read_line(child) == "tidied"
    child.end(alive_for(60))
    assert child.code == 3


def test_a_program_that_reads_nothing_holds_nobody_up(spawner: Spawner) -> None:
    child = shell(spawner, "exec 0<&-; echo up; exit 4")
    child.feed(b"x" * 1_000_000, last=True)
    while not child.ended:
        child.wait_for_output(60)
    child.leave()
    assert child.code == 4


def test_more_than_a_pipe_holds_goes_both_ways(spawner: Spawner) -> None:
    child = spawner.start(["cat"], reads="stdout")
    child.feed(b"x" * 1_000_000, last=True)
    said = 0
    while not child.ended:
        said += len(child.wait_for_output(60))
    assert said + len(child.read_rest()) == 1_000_000
    child.leave()


def test_programs_live_on_when_the_thread_that_asked_for_them_has_ended(spawner: Spawner) -> None:
    """The kernel's signal is that of the thread that forks: a batch's thread must not be it."""
    children: list[Child] = []
    asking = threading.Thread(target=lambda: children.append(shell(spawner, "read line; echo got $line")))
    asking.start()
    asking.join()
    (child,) = children
    child.feed(b"it\n")
    assert read_line(child) == "got it"
    child.end(alive_for(60))


PARENT = """
import sys, time
from batchops.queue.handlers import child_process
if sys.argv[1] == "fork":
    child_process._wrapper = lambda: []
spawner = child_process.Spawner()
child = spawner.start(["sh", "-c", "echo $$; exec sleep 600"], reads="stdout")
print(child.wait_for_output(60).decode(), flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
@pytest.mark.parametrize("how", ["wrapper", "fork"])
def test_a_program_does_not_outlive_a_parent_that_was_killed(how: str) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, how], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout as said:
        child = int(said.readline())
        parent.kill()
        parent.wait()
    wait_for(lambda: gone(child))


def test_a_program_ends_at_its_deadline() -> None:
    clock = Clock()
    limit = TimeLimit(60.0, Stop(clock), clock)
    assert (limit.look() > 0, limit.passed) == (True, None)
    clock.now += 60
    limit.look()
    assert (limit.passed, limit.left()) == ("deadline", LAST_SECONDS)


@pytest.mark.parametrize(("grace", "told_after", "left"), [(20.0, 15.0, 5.0), (6.0, 1.0, 5.0), (3.0, 0.0, 3.0)])
def test_a_program_is_told_five_seconds_before_the_grace_period_ends(
    grace: float, told_after: float, left: float
) -> None:
    clock = Clock()
    stop = Stop(clock)
    stop.grace = grace
    limit = TimeLimit(300.0, stop, clock)
    stop.ask("signal", 15)
    if told_after:
        clock.now += told_after - 0.1
        limit.look()
        assert limit.passed is None
        clock.now += 0.1
    limit.look()
    assert limit.passed == "stop"
    assert limit.left() == pytest.approx(left)
    clock.now += left
    assert limit.left() <= 0


def test_a_hurried_program_is_killed_at_once() -> None:
    clock = Clock()
    stop = Stop(clock)
    limit = TimeLimit(300.0, stop, clock)
    stop.ask("signal", 15)
    stop.hurry()
    limit.look()
    assert (limit.passed, limit.left()) == ("stop", 0.0)
