"""What a walk hands to an operation: the next rows, and where the walk stands behind them."""

from dataclasses import dataclass

import sqlalchemy as sa

from batchops.walks.cursor import Cursor


@dataclass(frozen=True)
class Size:
    """How large the next batch may be: rows it aims to change, rows it may read for that."""

    rows: int
    read: int
    exact: bool = False
    """Whether `rows` must not be exceeded, as under a limit."""
    skip_locked: bool = False
    """Whether to leave out rows that others hold locked, and to come back to them."""


@dataclass(frozen=True)
class Part:
    """The next rows of a walk. `where` says which; None: none of those read matches."""

    where: sa.ColumnElement[bool] | None
    cursor: Cursor
    """Where the walk stands once this part is durable."""
    read: int
    found: int | None = None
    """Rows the selector locked for the operation; None where it did not look."""
    locked: int = 0
    """Matching rows given up on, because others held them at every visit."""
