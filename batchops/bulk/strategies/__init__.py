"""How the rows of a batch are found: one file per strategy."""

from collections.abc import Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.bulk.strategies.batch import Batch
from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.runtime.batch_size import Size


class Strategy(Protocol):
    """Pulled inside the transaction that works on what it gives, so that a retry simply asks again."""

    name: str

    def begin(self, connection: sa.Connection) -> Cursor:
        """The whole range, its end fixed now."""

    def next(self, connection: sa.Connection, cursor: Cursor, size: Size) -> Batch | None:
        """The batch behind `cursor`; None once nothing is left."""

    def split(self, connection: sa.Connection, range_: Range) -> tuple[Range, Range] | None:
        """The range in two, of about the same size; None where that is not worth it."""

    def last(self, connection: sa.Connection, range_: Range) -> Range | None:
        """The range's last window, for the plan; None where only reading would find it."""

    def another_pass(self, connection: sa.Connection, cursor: Cursor, rows: int) -> Cursor | None:
        """A further pass, once every worker has finished and the run has changed `rows`; None if none is needed."""

    def relocated(self, connection: sa.Connection, cursor: Cursor) -> Cursor | None:
        """Asked after an empty batch: the cursor to go on with, if the table was rewritten; else None."""

    def ahead(self, cursor: Cursor) -> Sequence[sa.Select[Any]]:
        """The keys of the matching rows behind `cursor`; for the plan and the end, nothing is locked."""

    def first(self, connection: sa.Connection, cursor: Cursor) -> Batch | None:
        """The first batch as a plain range, for the plan; nothing is locked."""
