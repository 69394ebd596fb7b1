"""The rate of --max-rate, by a fake clock."""

import pytest

from batchops.runtime.rate import RateLimit
from batchops.spec.parsers import rate
from tests.clock import Clock


def test_a_batch_is_paid_for_before_the_next() -> None:
    clock = Clock()
    limit = RateLimit(1_000, "max-rate", "1000/s", clock)
    assert limit(0) is None
    clock.now += 0.1
    asks = limit(500)
    assert asks is not None
    assert (asks.seconds, asks.throttle, asks.limit) == (pytest.approx(0.4), "max-rate", 1_000)
    assert asks.reason == "max-rate 1000/s"
    clock.now += 0.4
    assert limit(500) is None


def test_a_time_of_rest_gives_no_credit() -> None:
    clock = Clock()
    limit = RateLimit(1_000, "max-rate", "1000/s", clock)
    assert limit(0) is None
    clock.now += 60
    assert limit(100) is None
    asks = limit(600)
    assert asks is not None
    assert asks.seconds == pytest.approx(0.5)


def test_waits_that_end_late_lose_nothing() -> None:
    clock = Clock()
    limit = RateLimit(1_000, "max-rate", "1000/s", clock)
    begun, rows = clock.now, 0
    assert limit(0) is None
    for _ in range(100):
        rows += 100
        asks = limit(rows)
        if asks is not None:
            clock.now += asks.seconds + 0.05
            assert limit(rows) is None
    assert clock.now - begun == pytest.approx(10, rel=0.02)


def test_workers_pay_together() -> None:
    clock = Clock()
    limit = RateLimit(1_000, "max-rate", "1000/s", clock)
    assert limit(0) is None
    assert limit(0) is None
    assert limit(200) is not None
    asks = limit(400)
    assert asks is not None
    assert asks.seconds == pytest.approx(0.4)


def test_what_an_earlier_process_did_is_not_paid_for() -> None:
    limit = RateLimit(1_000, "max-rate", "1000/s", Clock())
    assert limit(1_000_000) is None


@pytest.mark.parametrize(("text", "rows"), [("5000/s", 5000), ("300/min", 5), ("7_200/h", 2), (" 1.5 / s ", 1.5)])
def test_rates(text: str, rows: float) -> None:
    assert rate(text).rows == rows


@pytest.mark.parametrize("text", ["5000", "0/s", "-1/s", "fast", "5/day", "", "1e3/s"])
def test_no_rates(text: str) -> None:
    with pytest.raises(ValueError, match="is not a rate above 0, like 5000/s"):
        rate(text)


def test_a_bare_number_has_no_unit() -> None:
    with pytest.raises(ValueError, match="5000 has no unit"):
        rate(5000)
