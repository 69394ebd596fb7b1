"""A destination that is down is asked seldom, by little, and given up on after a while."""

import pytest

from batchops.errors import TransientError
from batchops.events import ThrottleReason
from batchops.outbox.circuit_breaker import FIRST_PAUSE, LONGEST_PAUSE, QUIET, CircuitBreaker
from tests.clock import Clock


def circuit(patience: float | None = None) -> tuple[CircuitBreaker, Clock]:
    clock = Clock()
    return CircuitBreaker(patience, clock, draw=lambda: 1.0), clock


def test_closed_it_holds_up_nothing() -> None:
    breaker, _ = circuit()
    assert (breaker.throttle(), breaker.down, breaker.probing) == (None, None, False)


def test_pauses_between_probes_double_up_to_a_bound() -> None:
    breaker, clock = circuit()
    pauses = []
    for _ in range(12):
        breaker.trip("refused")
        held = breaker.throttle()
        assert held is not None
        assert "refused" in held.reason
        pauses.append(held.seconds)
        clock.now += held.seconds
        assert breaker.throttle() is None, "time for a probe"
        assert breaker.probing
    assert pauses == [pytest.approx(min(LONGEST_PAUSE, FIRST_PAUSE * 2**n)) for n in range(12)]


def test_jitter_only_shortens_a_pause() -> None:
    clock = Clock()
    breaker = CircuitBreaker(None, clock, draw=lambda: 0.0)
    breaker.trip("refused")
    assert breaker.throttle() == ThrottleReason("the destination is down: refused", pytest.approx(0.75 * FIRST_PAUSE))


def test_the_timeout_begins_with_the_first_failure_and_success_ends_it() -> None:
    breaker, clock = circuit(patience=10.0)
    breaker.trip("refused")
    clock.now += 6.0
    breaker.close()
    breaker.trip("refused")
    clock.now += 6.0
    breaker.trip("refused")
    assert breaker.throttle() is not None, "six seconds of the second outage"
    clock.now += 4.0
    breaker.trip("refused")
    with pytest.raises(TransientError, match="The destination is down: refused"):
        breaker.throttle()


def test_a_doubtful_probe_is_followed_by_more_at_once() -> None:
    breaker, clock = circuit()
    breaker.trip("refused")
    clock.now += LONGEST_PAUSE
    breaker.inconclusive()
    assert (breaker.probing, breaker.down, breaker.throttle()) == (False, "refused", None)
    breaker.trip("refused again")
    assert (breaker.probing, breaker.down) == (True, "refused again")


def test_each_outage_is_told_of_once_when_the_waiting_begins() -> None:
    clock, told = Clock(), list[str]()
    breaker = CircuitBreaker(None, clock, draw=lambda: 1.0, warn=told.append)
    breaker.trip("one event may be to blame")
    assert told == []
    for _ in range(3):
        breaker.trip_by_destination("nobody answers.")
    assert told == ["The destination is down: nobody answers. It is tried again until it is back."]
    breaker.close()
    breaker.trip_by_destination("it is gone again")
    assert len(told) == 1, "one that comes and goes is not told of each time"
    breaker.close()
    clock.now += QUIET
    breaker.trip_by_destination("it is gone again")
    assert len(told) == 2


def test_the_warning_says_how_long_it_waits_and_nobody_is_warned_who_does_not_wait() -> None:
    told = list[str]()
    CircuitBreaker(120.0, Clock(), warn=told.append).trip_by_destination("nobody answers")
    CircuitBreaker(0.0, Clock(), warn=told.append).trip_by_destination("nobody answers")
    assert told == ["The destination is down: nobody answers. It is tried again for up to 2 min."]
