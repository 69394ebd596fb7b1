"""Runs of consecutive numbers among ids of events: no other event can have a number inside of a run."""

from collections.abc import Collection
from itertools import pairwise
from typing import Any

SHORTEST = 50
"""A shorter run costs more as a condition than its rows cost to read."""
MOST = 8
"""Runs that a statement has conditions for."""

Run = tuple[int, int]
"""The first and the last number."""


def runs(ids: Collection[Any]) -> list[Run]:
    """Return the longest runs, in ascending order; none if an id is not a whole number."""
    if len(ids) < SHORTEST or not set(map(type, ids)) <= {int, str}:
        return []
    try:
        numbers = sorted(set(map(int, ids)))
    except ValueError:
        return []
    if numbers[-1] - numbers[0] == len(numbers) - 1:
        return [(numbers[0], numbers[-1])]
    ends = [n for n, (one, next_one) in enumerate(pairwise(numbers), 1) if next_one - one > 1]
    bounds = pairwise([0, *ends, len(numbers)])
    found = [(numbers[first], numbers[end - 1]) for first, end in bounds if end - first >= SHORTEST]
    return sorted(sorted(found, key=lambda run: run[0] - run[1])[:MOST])
