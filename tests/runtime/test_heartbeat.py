"""The clock of a lease and the thread that renews it, alike for runs, rows, shards and fires; no time passes."""

import threading

import pytest

from batchops.errors import TransientError
from batchops.runtime.heartbeat import heartbeat, renew_due
from batchops.runtime.lease import CERTAIN, RENEWALS, LeaseClock
from batchops.runtime.threads import Threads
from tests.clock import Clock


class Server:
    """Renews by the clock, or answers as it is told to."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.times, self.answer = clock, list[float](), True
        self.down = False

    def __call__(self) -> bool:
        if self.down:
            raise TransientError("the server is gone")
        self.times.append(self.clock.now)
        return self.answer


def test_a_lease_is_renewed_three_times_in_its_length() -> None:
    clock = Clock()
    lease, server = LeaseClock(30.0, clock, renewed=clock.now), Server(clock)
    for _ in range(31):
        renew_due([(lease, server)])
        clock.now += 1.0
    assert [time - 1_000.0 for time in server.times] == [9.0, 18.0, 27.0]
    assert RENEWALS == 3


def test_what_is_not_held_yet_is_due_and_certain_of_nothing() -> None:
    lease = LeaseClock(30.0, Clock())
    assert (lease.due, lease.certain) == (True, False)


def test_a_lease_counts_from_before_its_renewal_was_sent() -> None:
    clock = Clock()
    lease = LeaseClock(10.0, clock)

    def slow() -> bool:
        clock.now += 7.0
        return True

    assert lease.renew(slow)
    assert lease.certain
    clock.now += 10.0 * CERTAIN - 7.0
    assert not lease.certain


def test_one_that_another_holds_is_told_of_and_certain_no_more() -> None:
    clock, lost = Clock(), list[str]()
    lease, server = LeaseClock(10.0, clock), Server(clock)
    assert lease.renew(server)
    server.answer = False
    clock.now += 5.0
    renew_due([(lease, server)], lambda: lost.append("lost"))
    assert (lost, lease.certain) == (["lost"], False)


def test_a_failure_is_told_only_once_the_lease_may_have_ended() -> None:
    clock = Clock()
    lease, other = LeaseClock(10.0, clock, renewed=clock.now), LeaseClock(10.0, clock, renewed=clock.now)
    server, well = Server(clock), Server(clock)
    server.down = True
    clock.now += 7.0
    renew_due([(lease, server), (other, well)])
    assert well.times == [clock.now]
    clock.now += 2.0
    with pytest.raises(TransientError, match="gone"):
        renew_due([(lease, server), (other, well)])
    server.down = False
    renew_due([(lease, server)])
    assert lease.certain


def test_the_thread_warns_once_and_goes_on() -> None:
    clock, warnings, turns = Clock(), list[str](), list[float]()
    lease, server = LeaseClock(30.0, clock, renewed=clock.now), Server(clock)
    renewed = threading.Event()

    def wait(over: threading.Event, seconds: float) -> bool:
        turns.append(seconds)
        clock.now += seconds
        server.down = len(turns) < 5
        if server.times:
            renewed.set()
            return over.wait()
        return over.is_set()

    with heartbeat(Threads(print, warnings.append, wait), 30.0, lambda: [(lease, server)]):
        renewed.wait()
    assert set(turns) == {10.0}
    assert warnings == ["The heartbeat failed and is tried again: the server is gone"]
    assert server.times == [1_050.0]
