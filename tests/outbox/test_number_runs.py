"""Runs of consecutive numbers among ids."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from batchops.outbox.number_runs import MOST, SHORTEST, runs


@given(st.lists(st.integers(-500, 1_500), unique=True), st.sampled_from([int, str]))
def test_every_number_of_a_run_is_an_id(numbers: list[int], kind: Any) -> None:
    whole = [*range(200, 200 + 2 * SHORTEST), *range(900, 900 + SHORTEST), *numbers]
    found = runs([kind(number) for number in whole])
    assert found == sorted(found)
    assert len(found) >= 2
    assert all(set(range(first, end + 1)) <= set(whole) for first, end in found)
    assert all(end - first + 1 >= SHORTEST for first, end in found)


def test_the_longest_runs_are_taken() -> None:
    whole = [n * 1_000 + i for n in range(2 * MOST) for i in range(SHORTEST + n)]
    assert runs(whole) == [(n * 1_000, n * 1_000 + SHORTEST + n - 1) for n in range(MOST, 2 * MOST)]


def test_what_is_no_whole_number_is_in_no_run() -> None:
    assert runs([*range(SHORTEST), 7.5]) == []
    assert runs([*map(str, range(SHORTEST)), "x"]) == []
    assert runs(range(SHORTEST - 1)) == []
