"""What is done to the rows of a batch."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.bulk.strategies.strategy import Batch

Stored = Mapping[str, str]
"""Maps a column to set to the column of the list of rows that holds its value."""


Statement = sa.Delete | sa.Update | sa.Select[Any]


class Operation(Protocol):
    """Makes one statement for a batch's rows, whose row count is the number of rows changed.

    The statement repeats the condition, as a row may have changed since it was selected.
    """

    removes: bool
    """Whether the operation deletes the rows."""

    def statement(self, batch: Batch) -> Statement:
        """Return the writing statement; for an operation that only copies, the reading one."""

    def afterwards(self, batch: Batch) -> Sequence[sa.ColumnElement[Any]]:
        """Return what a row of the batch becomes, column by column; empty if it is deleted."""

    def rehearsal(self, batch: Batch) -> sa.Select[Any]:
        """Return a SELECT of the same rows and expressions, for a server that does not explain a writing statement."""
