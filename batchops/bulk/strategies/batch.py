"""What a strategy hands to an operation: the next rows, and the cursor behind them."""

from dataclasses import dataclass

import sqlalchemy as sa

from batchops.bulk.strategies.cursor import Cursor
from batchops.db.types import KeyValue
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
