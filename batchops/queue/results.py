"""The results of a claim: which row an error is about, and what happens to each row."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from batchops.db.storable_text import reason_of
from batchops.db.types import KeyValue
from batchops.errors import BatchopsError, RowRefusedError
from batchops.events import Rejected
from batchops.queue.deadline import DeadlinePassedError
from batchops.queue.handlers import Failed, HandlerLeftError, Result, Unmarked, Unstarted
from batchops.queue.queue import Claim, Row, by_columns
from batchops.runtime.backoff import RetryPolicy

T = TypeVar("T")
Groups = dict[str, list[KeyValue]]


@dataclass
class ClaimInHand:
    """A claim that a worker is processing: it is claimed, handled and finalised."""

    claim: Claim
    results: Sequence[Result] | None = None
    """The handler's results, once there are any. A failed COMMIT does not call the handler again."""
    in_doubt: bool = False
    """Whether the finalising COMMIT was sent, but had no answer."""
    rejected: list[Rejected] = field(default_factory=list)
    final: Sequence[Result] = ()
    """The results of the rows, marks included, once they are committed."""

    def forget_values(self) -> None:
        """Drop the rows' values after the work, so that the values of only one claim are in memory."""
        self.claim = replace(self.claim, rows=self.claim.rows.without_values())


@dataclass
class SortedResults:
    """Keys of the rows that are done, to be retried, given up, or released."""

    done: list[KeyValue] = field(default_factory=list)
    retry: dict[tuple[str, float], list[KeyValue]] = field(default_factory=dict)
    """Keys of rows to retry, by reason and seconds until the next attempt."""
    dead_letters: Groups = field(default_factory=dict)
    """Keys of rows that are given up, by reason."""
    unstarted: list[KeyValue] = field(default_factory=list)

    @property
    def failures(self) -> int:
        """Return the number of rows that failed this time."""
        return sum(len(keys) for _, keys in self.reasons())

    def reasons(self) -> Iterator[tuple[str, Sequence[KeyValue]]]:
        """Yield the reasons why rows failed this time, with their keys."""
        yield from ((reason, keys) for (reason, _), keys in self.retry.items())
        yield from self.dead_letters.items()


def sort_results(rows: Sequence[Row], results: Sequence[Result], attempts: RetryPolicy) -> SortedResults:
    """Decide what happens to each row, by its result and the attempts that it has had."""
    if not any(results):
        return SortedResults(done=list(by_columns(rows).keys))
    sorted_ = SortedResults()
    pauses: dict[tuple[str, int], float] = {}
    for row, result in zip(rows, results, strict=True):
        match result:
            case None:
                sorted_.done.append(row.key)
            case Unstarted():
                sorted_.unstarted.append(row.key)
            case Failed() if result.final or attempts.used_up(row.attempts):
                sorted_.dead_letters.setdefault(result.reason, []).append(row.key)
            case Failed():
                # Rows with the same reason and attempts get the same pause, so that they share a statement.
                pause = pauses.setdefault((result.reason, row.attempts), attempts.pause(row.attempts))
                pause = pause if result.after is None else max(result.after, 0.0)
                sorted_.retry.setdefault((result.reason, pause), []).append(row.key)
    return sorted_


def untried(claim: Claim) -> Sequence[Result]:
    """Return results before any work: None, but a failure for rows whose mark of --claimed was refused."""
    refused = claim.refused
    if not refused:
        return [None] * len(claim.rows)
    return [Unmarked(refused[row.key], flag="--claimed") if row.key in refused else None for row in claim.rows]


def blamed(error: Exception) -> Result:
    """Return the failure of the row that `error` is about; None if no row is at fault."""
    if isinstance(error, RowRefusedError):
        return Unmarked(reason(error))
    if isinstance(error, BatchopsError | DeadlinePassedError):
        return None
    return Failed(reason(error))


def apart(
    rows: Sequence[T], isolated: Callable[[T], bool], work: Callable[[Sequence[T]], Sequence[Result]]
) -> list[Result]:
    """Return a result for each row, in order. `work` gets each isolated row alone, after all the other rows."""
    others = [row for row in rows if not isolated(row)]
    results = iter(work(others) if others else ())
    return [work([row])[0] if isolated(row) else next(results) for row in rows]


def reason(error: BaseException) -> str:
    """Return the text of an error as the reason of a row's failure, at most 400 characters."""
    if isinstance(error, RowRefusedError):
        return error.message[:400]
    text = reason_of(error)
    if isinstance(error, HandlerLeftError):
        return text
    return f"{type(error).__name__}: {text}"[:400] if text else type(error).__name__
