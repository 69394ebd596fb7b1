"""What is done to the rows of a part."""

from collections.abc import Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.bulk.strategies.batch import Part


class Operation(Protocol):
    """One writing statement for a part's rows; its row count is what it changed.

    The predicate stands in it again, as a row may have changed since it was selected.
    """

    removes: bool
    """Whether a row is gone once it is done."""

    def statement(self, part: Part) -> sa.Delete | sa.Update:
        """The writing statement."""

    def afterwards(self, part: Part) -> Sequence[sa.ColumnElement[Any]]:
        """A row of the part as it would be, column by column; empty where it is gone."""

    def rehearsal(self, part: Part) -> sa.Select[Any]:
        """A SELECT of the same rows and expressions, for a server that explains no writing."""
