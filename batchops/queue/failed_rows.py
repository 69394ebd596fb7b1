"""What the failure of a batch says of its rows."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from batchops.db.storable_text import reason_of
from batchops.errors import BatchopsError, RowRefusedError
from batchops.queue.deadline import DeadlinePassedError
from batchops.queue.handlers import Failed, HandlerLeftError, Result, Unmarked

T = TypeVar("T")


def blamed(error: Exception) -> Result:
    """The failure of the one row that `error` is about; None where no row is at fault."""
    if isinstance(error, RowRefusedError):
        return Unmarked(reason(error))
    if isinstance(error, BatchopsError | DeadlinePassedError):
        return None
    return Failed(reason(error))


def apart(
    rows: Sequence[T], suspected: Callable[[T], bool], work: Callable[[Sequence[T]], Sequence[Result]]
) -> list[Result]:
    """A result per row, in their order; `work` gets each of the suspected rows by itself, after all the others."""
    others = [row for row in rows if not suspected(row)]
    results = iter(work(others) if others else ())
    return [work([row])[0] if suspected(row) else next(results) for row in rows]


def reason(error: BaseException) -> str:
    """An error as a row's reason: one short line."""
    if isinstance(error, RowRefusedError):
        return error.message[:400]
    text = reason_of(error)
    if isinstance(error, HandlerLeftError):
        return text
    return f"{type(error).__name__}: {text}"[:400] if text else type(error).__name__
