"""When something fires: the rule for changed clocks against a plain scan of every minute."""

import calendar
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchops.spec.times import Cron, Every, cron, crontab, due, every

ZONES = [ZoneInfo(name) for name in ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe")]
NIGHTS = [
    # clocks put forward, put back
    "2026-03-29", "2026-10-25", "2026-03-08", "2026-11-01", "2026-10-04", "2026-04-05",
    # leap day and the years that have none, month ends, the turn of a year
    "2028-02-29", "2027-02-28", "2100-02-28", "2026-04-30", "2026-12-31",
]  # fmt: skip
DAYS = 4
Fields = tuple[list[int], list[int], str]


def numbers(top: int, most: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, top), min_size=1, max_size=most, unique=True).map(sorted)


hours = st.one_of(st.just(list(range(24))), numbers(23, 6), st.just([1, 2, 3]))
expressions = st.tuples(numbers(59, 3), hours, st.sampled_from(["*", "L", "1,15,28", "29", "31"]))
moments = st.builds(
    lambda night, seconds: int(datetime.fromisoformat(night).replace(tzinfo=UTC).timestamp()) - 86_400 + seconds,
    st.sampled_from(NIGHTS),
    st.integers(0, 2 * 86_400),
)


def spelled(fields: Fields) -> str:
    minutes, hours, days = fields
    every_hour = "*" if len(hours) == 24 else ",".join(map(str, hours))
    return f"{','.join(map(str, minutes))} {every_hour} {days} * *"


def names(fields: Fields, wall: datetime) -> bool:
    minutes, hours, days = fields
    last = calendar.monthrange(wall.year, wall.month)[1]
    day = days == "*" or (wall.day == last if days == "L" else wall.day in map(int, days.split(",")))
    return wall.minute in minutes and wall.hour in hours and day


def by_the_rule(fields: Fields, zone: ZoneInfo, after: int, upto: int) -> list[int]:
    """Minute by minute, as a person with a clock would do it."""
    start = after - after % 60 - 6 * 3600
    clock = [(at, datetime.fromtimestamp(at, zone).replace(tzinfo=None)) for at in range(start, upto + 60, 60)]
    if len(fields[1]) == 24:
        found = {at for at, wall in clock if names(fields, wall)}
    else:
        found, seen = set(), clock[0][1]
        for at, wall in clock:
            while seen < wall:
                seen += timedelta(minutes=1)
                if names(fields, seen):
                    found.add(at)
    return sorted(at for at in found if after < at <= upto)


def fires(times: Cron | Every, after: int, upto: int) -> list[int]:
    found = []
    while (at := times.after(found[-1] if found else after)) <= upto:
        found.append(at)
    return found


@settings(max_examples=60)
@given(fields=expressions, zone=st.sampled_from(ZONES), after=moments)
def test_none_lost_none_twice(fields: Fields, zone: ZoneInfo, after: int) -> None:
    upto = after + DAYS * 86_400
    times = cron(spelled(fields), zone)
    found = fires(times, after, upto)
    assert found == by_the_rule(fields, zone, after, upto)
    assert due(times, after, upto, 10_000) == found


@settings(max_examples=60)
@given(fields=expressions, zone=st.sampled_from(ZONES), after=moments)
def test_the_next_is_in_the_future_whatever_was_asked_before(fields: Fields, zone: ZoneInfo, after: int) -> None:
    """Asked from any moment between two fires it is the same one: no host can come to another answer."""
    times = cron(spelled(fields), zone)
    coming = times.after(after)
    assert coming > after
    for moment in {after + (coming - after) * part // 7 for part in range(7)}:
        assert times.after(moment) == coming


@given(seconds=st.integers(1, 10**6), after=st.integers(0, 4 * 10**9))
def test_intervals_are_multiples(seconds: int, after: int) -> None:
    at = Every(seconds).after(after)
    assert at > after
    assert at - after <= seconds
    assert at % seconds == 0


@pytest.mark.parametrize(
    ("expression", "zone", "after", "coming"),
    [
        ("30 2 * * *", "Europe/Berlin", "2026-03-29T01:00+01:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T01:00+02:00", ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T02:10+01:00", ["2026-10-26T02:30+01:00"]),
        ("7 * * * *", "Europe/Berlin", "2026-10-25T01:50+02:00", ["2026-10-25T02:07+02:00", "2026-10-25T02:07+01:00"]),
        ("7 * * * *", "Europe/Berlin", "2026-03-29T01:50+01:00", ["2026-03-29T03:07+02:00"]),
        ("0 */2 * * *", "Australia/Lord_Howe", "2026-04-05T01:45+10:30", ["2026-04-05T02:00+10:30"]),
        ("0 12 * * *", "Pacific/Apia", "2011-12-29T12:00-10:00", ["2011-12-31T00:00+14:00", "2011-12-31T12:00+14:00"]),
        ("0 0 29 2 *", "UTC", "2096-03-01T00:00+00:00", ["2104-02-29T00:00+00:00"]),
    ],
)
def test_nights_by_name(expression: str, zone: str, after: str, coming: list[str]) -> None:
    times = cron(expression, ZoneInfo(zone))
    found = [int(datetime.fromisoformat(after).timestamp())]
    for _ in coming:
        found.append(times.after(found[-1]))
    assert found[1:] == [int(datetime.fromisoformat(at).timestamp()) for at in coming]


def test_what_a_changed_clock_does_is_said() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    hourly, nightly = cron("7 * * * *", berlin), cron("30 2 * * *", berlin)
    at = {text: int(datetime.fromisoformat(text).timestamp()) for text in (
        "2026-03-29T03:00+02:00", "2026-10-25T02:07+02:00", "2026-10-25T02:07+01:00", "2026-10-26T02:30+01:00",
    )}  # fmt: skip
    said = [
        nightly.mark(at["2026-03-29T03:00+02:00"]),
        hourly.mark(at["2026-10-25T02:07+02:00"]),
        hourly.mark(at["2026-10-25T02:07+01:00"]),
        nightly.mark(at["2026-10-26T02:30+01:00"]),
    ]
    assert said == [
        "clock put forward: the time does not exist", "clock put back: the first 02:07",
        "clock put back: the second 02:07", "",
    ]  # fmt: skip


def test_long_ago_is_not_counted_up() -> None:
    assert due(Every(1), 0, 10**9, 100) == list(range(10**9 - 99, 10**9 + 1))
    yearly = cron("0 0 1 1 *", ZoneInfo("UTC"))
    assert [datetime.fromtimestamp(at, UTC).year for at in due(yearly, 0, 86_400 * 800, 100)] == [1971, 1972]


@pytest.mark.parametrize("wrong", ["* * *", "* * * * * *", "61 * * * *", "0 0 31 2 *", "0 0 30 2 *", "@daily", ""])
def test_no_cron(wrong: str) -> None:
    with pytest.raises(ValueError, match="cron"):
        cron(wrong, ZoneInfo("UTC"))


@pytest.mark.parametrize("wrong", [timedelta(0), timedelta(milliseconds=500), timedelta(seconds=1.5)])
def test_no_interval(wrong: timedelta) -> None:
    with pytest.raises(ValueError, match="interval"):
        every(wrong)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("@yearly", "0 0 1 1 *"), ("@annually", "0 0 1 1 *"), ("@monthly", "0 0 1 * *"), ("@weekly", "0 0 * * 0"),
        ("@daily", "0 0 * * *"), ("@midnight", "0 0 * * *"), ("@hourly", "0 * * * *"), (" @Daily ", "0 0 * * *"),
    ],
)  # fmt: skip
def test_the_names_of_crontab(name: str, fields: str) -> None:
    zone = ZoneInfo("Europe/Berlin")
    assert crontab(name, zone) == cron(fields, zone)


@pytest.mark.parametrize(("text", "seconds"), [("@every 20s", 20), ("@every 1h30m", 5400), ("@EVERY  2d", 172_800)])
def test_an_interval_as_other_schedulers_write_it(text: str, seconds: int) -> None:
    assert crontab(text, ZoneInfo("UTC")) == Every(seconds)


@pytest.mark.parametrize("wrong", ["@reboot", "@every", "@every 0s", "@every 1.5s", "@every day", "@daily 3", "@", ""])
def test_no_name_of_a_time(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"name of a time|duration|interval|five fields"):
        crontab(wrong, ZoneInfo("UTC"))
