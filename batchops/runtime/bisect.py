"""Finds the rows or events that made a batch fail."""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

FEW = 10
"""Rows whose marks are tried, to tell a refusal of one row from one of all."""


def by_halves(
    rows: Sequence[T], work: Callable[[Sequence[T]], Sequence[R]], blame: Callable[[Exception], R | None]
) -> list[R]:
    """A result per row; `work` is asked again for halves of what it raised at, and `blame` makes the result of a row.

    What `blame` makes nothing of, as no row is at fault, is raised.
    """
    if not rows:
        return []
    try:
        return list(work(rows))
    except Exception as error:
        result = blame(error)
        if result is None:
            raise
        if len(rows) == 1:
            return [result]
    middle = len(rows) // 2
    return by_halves(rows[:middle], work, blame) + by_halves(rows[middle:], work, blame)
