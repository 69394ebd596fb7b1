"""Durations as literals: in the largest whole unit, as a plan shows them."""

from datetime import timedelta

import pytest

from batchops.db.mysql.literals import literal as mysql
from batchops.db.postgresql.literals import literal as postgresql
from batchops.db.sqlite.literals import literal as sqlite


@pytest.mark.parametrize(
    ("value", "literals"),
    [
        (timedelta(days=365), ("INTERVAL '365 days'", "INTERVAL 365 DAY", "'365 days'")),
        (timedelta(hours=36), ("INTERVAL '36 hours'", "INTERVAL 36 HOUR", "'36 hours'")),
        (timedelta(minutes=90), ("INTERVAL '90 minutes'", "INTERVAL 90 MINUTE", "'90 minutes'")),
        (timedelta(seconds=1), ("INTERVAL '1 second'", "INTERVAL 1 SECOND", "'1 second'")),
        (timedelta(seconds=1.5), ("INTERVAL '1500000 microseconds'", "INTERVAL 1500000 MICROSECOND", "'1.5 seconds'")),
        (timedelta(0), ("INTERVAL '0 seconds'", "INTERVAL 0 SECOND", "'0 seconds'")),
    ],
)
def test_a_duration_in_its_largest_whole_unit(value: timedelta, literals: tuple[str, str, str]) -> None:
    assert (postgresql(value), mysql(value), sqlite(value)) == literals
