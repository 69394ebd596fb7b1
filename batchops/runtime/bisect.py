"""by_halves(): finds the rows or events that made a batch fail."""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

FEW = 10
"""How many rows a trial marks, to tell whether the database refuses one row or all of them."""


def by_halves(
    rows: Sequence[T], work: Callable[[Sequence[T]], Sequence[R]], blame: Callable[[Exception], R | None]
) -> list[R]:
    """Return a result for each row: where `work` raises, it is called again for each half of the rows.

    `blame` turns the error of a single row into its result. Where it returns None, no row is at fault: the error is
    raised.
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
