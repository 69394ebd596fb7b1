"""Answers of a program to a batch: each belongs to its own row, or none is believed."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from batchops.queue.handlers import Failed, Result
from batchops.queue.handlers.exec_answers import Answers

ROWS = [{"id": n, "shop": "ä", "payload": "x"} for n in (1, 2, 3)]


def heard(answers: Sequence[Any], rows: Sequence[dict[str, Any]] = ROWS, key: Sequence[str] = ("id",)) -> Answers:
    """What became of the lines, said one after the other; a str is a line as it stands."""
    found = Answers(rows, key)
    for one in answers:
        found.add(one if isinstance(one, str) else json.dumps(one))
    return found


def told(found: Answers) -> list[Result | str]:
    return [found.results.get(place, "none") for place in range(len(found.lines))]


def test_answers_without_keys_belong_to_rows_in_their_order() -> None:
    found = heard([{"ok": True}, {"error": "odd"}, None])
    assert (told(found), found.full, found.wrong) == ([None, Failed("odd"), None], True, "")


def test_answers_without_keys_count_only_as_a_whole() -> None:
    found = heard([{"ok": True}, {"error": "odd"}])
    assert (told(found), found.full, found.wrong) == (["none"] * 3, False, "")


def test_answers_with_keys_belong_to_their_rows_in_any_order() -> None:
    found = heard([{"key": 3, "error": "odd"}, {"key": 1, "ok": True}])
    assert told(found) == [None, "none", Failed("odd")]
    found.add('{"key": 2}')
    assert (told(found), found.full, found.wrong) == ([None, None, Failed("odd")], True, "")


KEYS: dict[str, tuple[Any, ...]] = {
    "the row's own column": ({"id": 2, "ok": True},),
    "a text in place of a number": ({"key": "2", "ok": True},),
    "a number that was reckoned with": ({"key": 2.0, "ok": True},),
    "a list": ({"key": [2], "ok": True},),
    "an object": ({"key": {"id": 2}, "ok": True},),
    "the whole row": (ROWS[1] | {"ok": True},),
}


@pytest.mark.parametrize("case", list(KEYS))
def test_a_row_is_named_by_its_key_in_any_form(case: str) -> None:
    found = heard(KEYS[case])
    assert (told(found), found.wrong) == (["none", None, "none"], "")


@pytest.mark.parametrize(
    "answer", [{"shop": "a, b", "id": 1}, {"key": ["a, b", 1]}, {"key": {"id": "1", "shop": "a, b"}}]
)
def test_a_composite_key_names_its_row(answer: dict[str, Any]) -> None:
    rows = [{"shop": "a", "id": 1}, {"shop": "a, b", "id": 1}, {"shop": "a", "id": 2}]
    found = heard([answer | {"error": "odd"}], rows, ("shop", "id"))
    assert (told(found), found.wrong) == (["none", Failed("odd"), "none"], "")


@pytest.mark.parametrize("column", ["key", "ok", "error", "final"])
def test_a_key_column_may_be_called_like_a_word_of_the_answer(column: str) -> None:
    rows = [{column: f"k{n}", "n": n} for n in range(2)]
    found = heard([{"key": {column: "k1"}, "error": "odd"}, {"key": "k0", "ok": True}], rows, (column,))
    assert (told(found), found.wrong) == ([None, Failed("odd")], "")


def test_keys_beyond_what_a_float_holds_are_not_rounded() -> None:
    rows = [{"id": 2**63 - 1}, {"id": 2**63 - 2}]
    found = heard([f'{{"key": {2**63 - 2}, "error": "odd"}}', f'{{"key": "{2**63 - 1}"}}'], rows)
    assert (told(found), found.wrong) == ([None, Failed("odd")], "")


WRONG: dict[str, tuple[Sequence[Any], str]] = {
    "a line too many": ([None, {"error": "odd"}, {"ok": True}, None], "with more lines than the 3 rows"),
    "a banner": (["tool 1.0 is ready", None, None], "with text that is not JSON: tool 1.0 is ready"),
    "an empty line": (["", None, None], "with text that is not JSON: an empty line"),
    "a number": ([5, None, None], "with JSON that is not a result: 5"),
    "a list of results": ([[None, None, None]], "with JSON that is not a result"),
    "neither ok nor error": ([{"id": 1, "state": "fine"}], "with JSON that is not a result"),
    "the row said again": ([ROWS[0]], "with JSON that is not a result"),
    "ok by a word": ([{"ok": "yes"}], "with JSON that is not a result"),
    "no error by its name": ([{"error": None}], "with JSON that is not a result"),
    "a key that was not asked for": ([{"key": 9, "ok": True}], 'for a row that it was not given: {"key": 9'),
    "a key of another shape": ([{"key": [1, 2], "ok": True}], "for a row that it was not given"),
    "no key": ([{"key": None, "ok": True}], "for a row that it was not given"),
    "one row twice": ([{"key": 1, "ok": True}, {"id": 1, "error": "odd"}], "more than once for one row"),
    "keys for some": ([{"key": 1, "ok": True}, {"ok": True}], "with a key for some rows and without for others"),
    "keys for others": ([None, {"key": 2, "ok": True}], "with a key for some rows and without for others"),
}


@pytest.mark.parametrize("case", list(WRONG))
def test_nothing_is_believed_of_an_answer_that_is_wrong(case: str) -> None:
    answers, reason = WRONG[case]
    found = heard(answers)
    assert reason in found.wrong
    assert told(found) == ["none"] * 3


def test_rows_that_look_alike_in_json_are_not_told_apart() -> None:
    """SQLite keeps 5 and '5' in one column."""
    found = heard([{"key": 5, "ok": True}], [{"id": 5}, {"id": "5"}])
    assert "more than once for one row" in found.wrong


def test_a_late_answer_to_an_earlier_batch_is_nobodys() -> None:
    found = Answers(ROWS, ("id",), earlier=Answers([{"id": 7}], ("id",)).names)
    for one in ('{"key": 7, "error": "late"}', '{"key": 1}', '{"key": 2}', '{"key": 3}'):
        found.add(one)
    assert (told(found), found.stray, found.wrong) == ([None] * 3, True, "")


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ({"ok": True, "error": None}, None),
        ({"ok": True, "error": ""}, None),
        ({"ok": True, "error": "odd"}, Failed("odd")),
        ({"error": {"code": 7}}, Failed('{"code": "7"}')),
        ({"ok": False}, Failed("the program answered that the row is not ok")),
        ({"error": "odd", "final": True}, Failed("odd", final=True)),
        (False, Failed("the program answered false")),
        ("why", Failed("why")),
        (True, None),
    ],
)
def test_what_a_line_means(answer: Any, result: Result) -> None:
    assert told(heard([json.dumps(answer)], ROWS[:1])) == [result]
