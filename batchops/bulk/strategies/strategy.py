"""What a strategy is, and what it hands to an operation: the next rows, and the cursor behind them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.db.types import KeyValue
from batchops.runtime.batch_size import Size
from batchops.sql.selection import Selection


@dataclass(frozen=True)
class Batch:
    """The next rows: those of `selection` for which `where` holds too; None: none of those read matches."""

    selection: Selection
    where: sa.ColumnElement[bool] | None
    cursor: Cursor
    """The cursor once this batch is durable."""
    read: int
    found: int | None = None
    """Rows the selector locked for the operation; None where it did not look."""
    locked: int = 0
    """Matching rows given up on, because others held them at every visit."""
    locked_keys: tuple[KeyValue, ...] = ()
    """Those of them that were listed."""
    limit: int | None = None
    """The most rows to take of `where`; below that, nothing is left of it."""
    key: tuple[str, ...] = ()
    """The columns that name its rows, where these are or can be listed."""
    keys: tuple[KeyValue, ...] = ()
    """The listed rows, where they were listed."""

    @property
    def conditions(self) -> tuple[sa.ColumnElement[bool] | sa.TextClause, ...]:
        """The strategy's condition and the user's."""
        return (sa.true() if self.where is None else self.where, self.selection.clause)


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
