"""What is done to the rows of a batch."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.bulk.strategies.strategy import Batch

Stored = Mapping[str, str]
"""The columns of a list of rows that hold values, by the column to set."""


Statement = sa.Delete | sa.Update | sa.Select[Any]


class Operation(Protocol):
    """One statement for a batch's rows; its row count is what it changed.

    The condition is in it again, as a row may have changed since it was selected.
    """

    removes: bool
    """Whether a row is gone once it is done."""

    def statement(self, batch: Batch) -> Statement:
        """The writing statement; the reading one of an operation that only copies."""

    def afterwards(self, batch: Batch) -> Sequence[sa.ColumnElement[Any]]:
        """A row of the batch as it would be, column by column; empty where it is gone."""

    def rehearsal(self, batch: Batch) -> sa.Select[Any]:
        """A SELECT of the same rows and expressions, for a server that explains no writing."""
