"""The nearest name: one rule for tables, columns, keys, options, commands, topics and functions."""

import pytest

from batchops.errors import did_you_mean, nearest


@pytest.mark.parametrize(
    ("name", "names", "near"),
    [
        ("statu", ["status", "state"], "status"),
        ("STATU", ["Status"], "Status"),
        ("--batchsise", ["--batch-size", "--max-rows"], "--batch-size"),
        ("--xyz", ["--key"], ""),
        ("orders", [], ""),
        ("id", ["ID", "Id"], "ID"),
    ],
)
def test_the_nearest_name_is_spelled_as_it_is(name: str, names: list[str], near: str) -> None:
    assert nearest(name, names) == near


def test_the_hint_quotes_it() -> None:
    assert did_you_mean("statu", ["status"]) == 'did you mean "status"?'
    assert did_you_mean("statu", ["colour"]) == ""


def test_what_cannot_be_undone_is_not_offered() -> None:
    assert did_you_mean("purg", ["purge", "queue"], never=["purge"]) == ""
    assert did_you_mean("purge1", ["purge", "purger"], never=["purge"]) == 'did you mean "purger"?'
