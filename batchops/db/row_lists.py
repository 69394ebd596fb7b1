"""Lists of rows in tables of their own: keys, values computed for them, and proofs that the rows are unchanged."""

from typing import TYPE_CHECKING, Any, Protocol

import sqlalchemy as sa

from batchops.db.table import Table

if TYPE_CHECKING:
    from batchops.db.database import Database

PROOF = "batchops_proof"
"""The column that holds the proof."""


class RowLists(Protocol):
    """How one database makes such a list, and follows it."""

    joins: bool
    """Whether it deletes and updates what a join of the table with the list selects."""
    merges: bool
    """Whether such a join may read both in the order of the key, if the keys of both are bounded."""

    def proof(self, table: Table) -> sa.ColumnElement[Any]:
        """A value that is another one once any column of the row has been changed, if only by a byte."""

    def follows(self, values: int) -> bool:
        """Whether one statement changes the rows of a stretch of the list, setting so many values."""

    def store(self, database: "Database", listed: Table, rows: sa.Select[Any]) -> int:
        """Make the table `listed` of what `rows` selects, which one statement reads; the number of its rows.

        TimedOutError where that takes longer than a statement may.
        """


def table_name(dialect: sa.Dialect, table: Table) -> str:
    """The table as SQL names it."""
    return dialect.identifier_preparer.format_table(table.clause)


def key_columns(dialect: sa.Dialect, table: Table) -> str:
    """The columns of its key as SQL names them."""
    return ", ".join(dialect.identifier_preparer.quote_identifier(name) for name in table.keys[0].columns)


def count(connection: sa.Connection, table: Table) -> int:
    """How many rows it has."""
    return int(connection.execute(sa.select(sa.func.count()).select_from(table.clause)).scalar_one())
