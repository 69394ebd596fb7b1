"""Durations in and out."""

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchops import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("50ms", 0.05),
        ("1.5s", 1.5),
        (".5s", 0.5),
        ("0s", 0),
        ("30m", 1800),
        ("30min", 1800),
        ("1h30m", 5400),
        ("1 h 30 min", 5400),
        (" 90D ", 90 * 86400),
        ("2w", 14 * 86400),
        ("1d12h", 129600),
        ("1s500ms", 1.5),
        ("1y", 365 * 86400),
        ("18 months", 18 * 30 * 86400),
        ("6mo", 180 * 86400),
        ("2 years 3 months 1 day", (730 + 90 + 1) * 86400),
        ("90 days", 90 * 86400),
        ("1 hour 30 minutes", 5400),
        ("2 weeks", 14 * 86400),
    ],
)
def test_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert durations.parse(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("500", "has no unit: write 500ms, 500s"),
        ("1h30", "has no unit: write 30ms"),
        ("-5s", "negative"),
        ("5 apples", '"apples" is not a unit'),
        ("soon", "is not a duration"),
        ("s", "is not a duration"),
        ("1.2.3s", "no unit"),
        ("1e3s", '"e" is not a unit'),
        ("30m1h", "the longest first"),
        ("1h1h", "each unit once"),
        ("1m1min", "each unit once"),
        ("99999999999w", "too long"),
        ("٣s", "is not a duration"),
        ("5s;", "is not a duration"),
    ],
)
def test_anything_else_is_refused_in_words(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        durations.parse(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (-1, "0 s"),
        (0.0004, "0.4 ms"),
        (0.00125, "1.25 ms"),
        (0.05, "50 ms"),
        (0.85, "850 ms"),
        (0.9996, "1 s"),
        (12.34, "12.3 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min"),
        (123, "2 min 03 s"),
        (3599.7, "1 h"),
        (3720, "1 h 02 min"),
        (86399, "1 d"),
        (90 * 86400, "90 d"),
        (3 * 86400 + 4 * 3600, "3 d 04 h"),
    ],
)
def test_shown_for_people(seconds: float, text: str) -> None:
    assert durations.show(seconds) == text
    assert durations.show(timedelta(seconds=seconds)) == text


@given(st.floats(min_value=0.001, max_value=1e9))
def test_what_is_shown_can_be_read_again(seconds: float) -> None:
    again = durations.parse(durations.show(seconds)).total_seconds()
    assert again == pytest.approx(seconds, rel=0.06)


@given(st.text(max_size=12))
def test_no_text_does_anything_but_parse_or_explain(text: str) -> None:
    try:
        assert durations.parse(text) >= timedelta(0)
    except ValueError as error:
        assert len(str(error)) > 20
