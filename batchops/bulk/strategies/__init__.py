"""How rows are followed: one file per walk."""

from collections.abc import Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.bulk.strategies.batch import Part
from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.runtime.batch_size import Size


class Walk(Protocol):
    """Pulled inside the transaction that works on what it gives, so that a retry simply asks again."""

    name: str

    def begin(self, connection: sa.Connection) -> Cursor:
        """The whole way, its end fixed now."""

    def next(self, connection: sa.Connection, cursor: Cursor, size: Size) -> Part | None:
        """The part behind `cursor`; None once nothing is left."""

    def split(self, connection: sa.Connection, way: Range) -> tuple[Range, Range] | None:
        """The range in two, of about the same size; None where that is not worth it."""

    def last(self, connection: sa.Connection, way: Range) -> Range | None:
        """The range's last window, for the plan; None where only reading would find it."""

    def again(self, connection: sa.Connection, cursor: Cursor, rows: int) -> Cursor | None:
        """Another turn, once every lane is over and the run has changed `rows`; None where none is needed."""

    def astray(self, connection: sa.Connection, cursor: Cursor) -> Cursor | None:
        """Asked where a part held no row: how to go on, if the places that the cursor names mean nothing any more."""

    def ahead(self, cursor: Cursor) -> Sequence[sa.Select[Any]]:
        """The keys of the matching rows behind `cursor`; for the plan and the end, nothing is locked."""

    def first(self, connection: sa.Connection, cursor: Cursor) -> Part | None:
        """The first part as a plain range, for the plan; nothing is locked."""
