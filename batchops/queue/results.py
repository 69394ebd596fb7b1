"""The results of a claim: which row an error belongs to, and what to do with each row."""

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
    """A claim on its way: claimed, delivered, finalised."""

    claim: Claim
    results: Sequence[Result] | None = None
    """What the handler said, once it has; it is not asked twice because a COMMIT failed."""
    in_doubt: bool = False
    """Whether the finalising COMMIT was sent and not answered."""
    rejected: list[Rejected] = field(default_factory=list)
    final: Sequence[Result] = ()
    """What became of the rows, their marks included; once that is committed."""

    def forget_values(self) -> None:
        """The rows have been worked on: no two claims are in memory at once."""
        self.claim = replace(self.claim, rows=self.claim.rows.without_values())


@dataclass
class SortedResults:
    """Keys of the rows that are done, to be tried again, given up on, or released."""

    done: list[KeyValue] = field(default_factory=list)
    retry: dict[tuple[str, float], list[KeyValue]] = field(default_factory=dict)
    """By reason and seconds until the next attempt."""
    dead_letters: Groups = field(default_factory=dict)
    """By reason."""
    unstarted: list[KeyValue] = field(default_factory=list)

    @property
    def failures(self) -> int:
        """Rows that failed this time."""
        return sum(len(keys) for _, keys in self.reasons())

    def reasons(self) -> Iterator[tuple[str, Sequence[KeyValue]]]:
        """Why rows failed this time, and which."""
        yield from ((reason, keys) for (reason, _), keys in self.retry.items())
        yield from self.dead_letters.items()


def sort_results(rows: Sequence[Row], results: Sequence[Result], attempts: RetryPolicy) -> SortedResults:
    """Each row's result weighed against the attempts it has had."""
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
                # One pause for all that failed alike: they share a statement.
                pause = pauses.setdefault((result.reason, row.attempts), attempts.pause(row.attempts))
                pause = pause if result.after is None else max(result.after, 0.0)
                sorted_.retry.setdefault((result.reason, pause), []).append(row.key)
    return sorted_


def untried(claim: Claim) -> Sequence[Result]:
    """Results before any work: None but for rows that are held without the mark of a claim."""
    refused = claim.refused
    if not refused:
        return [None] * len(claim.rows)
    return [Unmarked(refused[row.key], flag="--claimed") if row.key in refused else None for row in claim.rows]


def blamed(error: Exception) -> Result:
    """The failure of the one row that `error` is about; None where no row is at fault."""
    if isinstance(error, RowRefusedError):
        return Unmarked(reason(error))
    if isinstance(error, BatchopsError | DeadlinePassedError):
        return None
    return Failed(reason(error))


def apart(
    rows: Sequence[T], isolated: Callable[[T], bool], work: Callable[[Sequence[T]], Sequence[Result]]
) -> list[Result]:
    """A result per row, in their order; `work` gets each of the isolated rows by itself, after all the others."""
    others = [row for row in rows if not isolated(row)]
    results = iter(work(others) if others else ())
    return [work([row])[0] if isolated(row) else next(results) for row in rows]


def reason(error: BaseException) -> str:
    """An error as a row's reason: one short line."""
    if isinstance(error, RowRefusedError):
        return error.message[:400]
    text = reason_of(error)
    if isinstance(error, HandlerLeftError):
        return text
    return f"{type(error).__name__}: {text}"[:400] if text else type(error).__name__
