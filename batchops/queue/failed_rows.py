"""From a batch that failed to the rows that made it fail."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from batchops.db.storable_text import reason_of
from batchops.errors import BatchopsError, RowRefusedError
from batchops.queue.deadline import DeadlinePassedError
from batchops.queue.handlers import Failed, HandlerLeftError, Result, Unmarked

T = TypeVar("T")


def by_halves(rows: Sequence[T], work: Callable[[Sequence[T]], Sequence[Result]]) -> list[Result]:
    """A result per row; `work` is asked again for halves of what it raised at, unless no row is at fault."""
    if not rows:
        return []
    try:
        return list(work(rows))
    except Exception as error:
        if not _a_rows_fault(error):
            raise
        if len(rows) == 1:
            return [Unmarked(reason(error)) if isinstance(error, RowRefusedError) else Failed(reason(error))]
    middle = len(rows) // 2
    return by_halves(rows[:middle], work) + by_halves(rows[middle:], work)


def apart(
    rows: Sequence[T], suspected: Callable[[T], bool], work: Callable[[Sequence[T]], Sequence[Result]]
) -> list[Result]:
    """A result per row, in their order; `work` gets each of the suspected rows by itself, after all the others."""
    others = [row for row in rows if not suspected(row)]
    results = iter(work(others) if others else ())
    return [work([row])[0] if suspected(row) else next(results) for row in rows]


def _a_rows_fault(error: Exception) -> bool:
    if isinstance(error, BatchopsError):
        return isinstance(error, RowRefusedError)
    return not isinstance(error, DeadlinePassedError)


def reason(error: BaseException) -> str:
    """An error as a row's reason: one short line."""
    if isinstance(error, RowRefusedError):
        return error.message[:400]
    text = reason_of(error)
    if isinstance(error, HandlerLeftError):
        return text
    return f"{type(error).__name__}: {text}"[:400] if text else type(error).__name__
