"""A verb that changes rows in place: what the database calls it, and what it does to a row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from batchops.bulk.operations import Operation, Stored
from batchops.bulk.rows_out import IN_PLACE, Preparing, RowsOut
from batchops.spec.verb import Verb


@dataclass(frozen=True, kw_only=True)
class BulkVerb(Verb):
    """A verb of batches that are one transaction each, with a plan that its checks look at."""

    right: str
    """What the database calls it, as a right and as a trigger's event: DELETE or UPDATE."""
    removes: bool
    """Whether a row is gone once it is done."""
    removed: str = "delete"
    """What a plan calls that."""
    operation: Callable[[Sequence[tuple[str, str]], Stored], Operation]
    """From the columns to set, their values, and those that a list of rows has, to what is done to a batch."""
    rows_out: Callable[[Preparing], RowsOut] = lambda _: IN_PLACE
    """Where the rows of a job go before they are changed."""
    question: str
    """Asked before a job runs, with {rows} and {table} to be filled in."""
    undo: str
    """What cannot be undone."""
