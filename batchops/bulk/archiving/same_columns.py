"""Checks that a table has the columns that it had when the run began: a new one would be deleted without a trace."""

from collections.abc import Sequence

import sqlalchemy as sa

from batchops.db.row_lines import RowLines
from batchops.db.table import Table
from batchops.errors import IntegrityError


def refuse_other_columns(
    connection: sa.Connection, lines: RowLines, table: Table, names: Sequence[str]
) -> None:  # fmt: skip
    """Raise IntegrityError if the columns changed. After a DELETE, nobody can add one until COMMIT."""
    refuse_columns(table, lines.column_names(connection, table), names)


def refuse_columns(table: Table, now: Sequence[str], names: Sequence[str]) -> None:
    """Raise IntegrityError if the columns `now` are not those that the table had."""
    if changed := {*now}.symmetric_difference(names):
        raise IntegrityError(
            f'The columns of "{table.label}" changed while rows were archived: {", ".join(sorted(changed))}.',
            "the batch was rolled back; --restart goes on with the columns as they are now.",
        )
