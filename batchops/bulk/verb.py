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
    """Whether the verb deletes its rows."""
    removed: str = "delete"
    """What a plan calls the deletion."""
    operation: Callable[[Sequence[tuple[str, str]], Stored], Operation]
    """Makes the operation from the columns to set with their values, and from the values that a list of rows has."""
    rows_out: Callable[[Preparing], RowsOut] = lambda _: IN_PLACE
    """Tells where the rows of a job go before they are changed."""
    question: str
    """Asked before a job runs, with {rows} and {table} to be filled in."""
    undo: str
    """What cannot be undone."""
