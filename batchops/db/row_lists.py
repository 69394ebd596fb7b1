"""Lists of rows in tables of their own: keys of rows, values computed for them, and proofs that they are unchanged."""

from typing import TYPE_CHECKING, Any, Protocol

import sqlalchemy as sa

from batchops.db.table import Table

if TYPE_CHECKING:
    from batchops.db.database import Database

PROOF = "batchops_proof"
"""The column that holds the proof."""


class RowLists(Protocol):
    """How one database makes such a list and changes its rows."""

    joins: bool
    """Whether the database can delete and update the rows that a join of the table with the list selects."""
    merges: bool
    """Whether bounds on the keys of both let such a join read both in the order of the key."""

    def proof(self, table: Table) -> sa.ColumnElement[Any]:
        """Return SQL for a value that changes whenever a column of the row changes, even by one byte."""

    def follows(self, values: int) -> bool:
        """Whether one statement can change a range of the list's rows when it sets so many columns."""

    def store(self, database: "Database", listed: Table, rows: sa.Select[Any]) -> int:
        """Make the table `listed` from what `rows` selects, read by one statement; return the number of its rows.

        TimedOutError where that takes longer than a statement may.
        """


def key_columns(dialect: sa.Dialect, table: Table) -> str:
    """Return the columns of the table's key as SQL names them."""
    return ", ".join(dialect.identifier_preparer.quote_identifier(name) for name in table.keys[0].columns)
