"""Column values on the wire: valid JSON, and exact."""

import base64
import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.db.json_values import decode, encode
from batchops.db.value_formats import JsonText, as_bytes, as_json, as_text, parse_documents, span

NAN, INFINITY = float("nan"), float("inf")
SHOWN: list[tuple[Any, Any, str]] = [
    # the value, what JSON gives of it, its text
    (None, None, "None"),
    (True, True, "true"),
    (2**63 + 1, 2**63 + 1, "9223372036854775809"),
    (0.1, 0.1, "0.1"),
    (NAN, "NaN", "NaN"),
    (INFINITY, "Infinity", "Infinity"),
    (-INFINITY, "-Infinity", "-Infinity"),
    (Decimal("1234567890123456.78"), "1234567890123456.78", "1234567890123456.78"),
    (Decimal("1E-10"), "0.0000000001", "0.0000000001"),
    (Decimal("NaN"), "NaN", "NaN"),
    (Decimal("-Infinity"), "-Infinity", "-Infinity"),
    ("ä\u2028\0", "ä\u2028\0", "ä\u2028\0"),
    (b"\xff\x00", base64.b64encode(b"\xff\x00").decode(), "ff00"),
    ("a\udcff", base64.b64encode(b"a\xff").decode(), "61ff"),
    (date(1, 1, 1), "0001-01-01", "0001-01-01"),
    (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00+00:00"),
    (time(12, 0, 0, 1), "12:00:00.000001", "12:00:00.000001"),
    (-timedelta(hours=838, minutes=59, seconds=59), "-838:59:59", "-838:59:59"),
    (timedelta(days=1, microseconds=1), "24:00:00.000001", "24:00:00.000001"),
    (UUID(int=1), str(UUID(int=1)), str(UUID(int=1))),
    ([1, [Decimal("1.10"), None]], [1, ["1.10", None]], '[1,["1.10",null]]'),
    (JsonText('{"a":\n 1.10}'), {"a": 1.1}, '{"a":\n 1.10}'),
]


@pytest.mark.parametrize(("value", "shown", "text"), SHOWN, ids=[repr(row[0])[:30] for row in SHOWN])
def test_values_shown(value: Any, shown: Any, text: str) -> None:
    line = as_json({"v": value})
    assert "\n" not in line
    assert json.loads(line, parse_constant=no_number) == {"v": shown}
    assert as_text(value) == text


def test_a_document_stands_as_it_is_written() -> None:
    text = '{"amount": 1234567890123456.78, "price": 1.10, "huge": 1e400, "amount": 2}'
    assert as_json({"doc": JsonText(text)}) == f'{{"doc":{text}}}'
    assert as_bytes(JsonText(text)) == text.encode()


def test_a_function_gets_numbers_of_documents_that_are_not_rounded() -> None:
    text = JsonText(
        '{"amount": 1234567890123456.78, "huge": 1e400, "n": 12345678901234567890, "long": %s}' % ("9" * 5000)
    )
    found = {"doc": text, "text": '{"a": 1}'}
    parse_documents([found], ["doc", "text"])
    assert found["text"] == '{"a": 1}'
    assert found["doc"]["amount"] == Decimal("1234567890123456.78")
    assert found["doc"]["huge"] == Decimal("1e400")
    assert found["doc"]["n"] == 12345678901234567890
    assert found["doc"]["long"] == Decimal("9" * 5000)


def no_number(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


KEYS = st.one_of(
    st.integers(), st.text(), st.binary(), st.floats(allow_nan=False), st.dates(), st.datetimes(), st.times(),
    st.timedeltas(), st.decimals(allow_nan=False, allow_infinity=False), st.uuids(),
)  # fmt: skip


@given(st.lists(KEYS, min_size=1, max_size=3))
def test_a_cursor_brings_its_keys_back(key: list[Any]) -> None:
    found = tuple(key)
    cursor = Cursor((Range(found, None, keys=(found, found)), Range(None, found)))
    assert Cursor.loaded(cursor.dumped()) == cursor
    json.loads(cursor.dumped(), parse_constant=no_number)
    assert [type(decode(encode(value))) for value in key] == [type(value) for value in key]


@given(st.timedeltas(max_value=timedelta(days=10**6), min_value=-timedelta(days=10**6)))
def test_a_span_is_exact(value: timedelta) -> None:
    text = span(value)
    hours, minutes, seconds = text.lstrip("-").split(":")
    found = timedelta(hours=int(hours), minutes=int(minutes)) + int(Decimal(seconds) * 10**6) * timedelta.resolution
    assert (-found if text.startswith("-") else found) == value
