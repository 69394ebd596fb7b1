"""What became of the rows of a claim, sorted by what is to be done with them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from batchops.db.types import KeyValue
from batchops.queue.handlers import Failed, Result, Unmarked, Unstarted
from batchops.queue.queue import Claim, Row
from batchops.runtime.backoff import RetryPolicy

Groups = dict[str, list[KeyValue]]


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
    return [Unmarked(refused[row.key], flag="--claimed") if row.key in refused else None for row in claim.rows]
