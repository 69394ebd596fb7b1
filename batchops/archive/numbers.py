"""Advances the numbers that a database gives to new rows past those of archived rows that it has received."""

from collections.abc import Callable, Collection

from batchops.db.database import Database
from batchops.db.facts import TableFacts
from batchops.db.table import Table
from batchops.errors import BatchopsError


def advance_numbers(
    database: Database, table: Table, names: Collection[str], warn: Callable[[str], None]
) -> None:  # fmt: skip
    """Set the sequences of these columns past the table's rows, so that new rows get others; warn if it fails."""
    try:
        with database.transaction() as connection:
            database.backend.row_loading.advance_numbers(connection, table, names)
    except BatchopsError as error:
        warn(f'The numbers of new rows in "{table.label}" were not advanced: {error.message}')


def unique_columns(table: Table, facts: TableFacts) -> frozenset[str]:
    """Return the columns with numbers that may not come twice: an index tells the greatest one.

    To advance the numbers of the others, each run would have to read the whole table.
    """
    return frozenset(key.columns[0] for key in (*table.keys, *facts.nullable_keys))
