"""Advances the numbers that a database gives to new rows past those of archived rows that it has received."""

from collections.abc import Callable, Collection

from batchops.db.database import Database
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


def advance_unique_numbers(database: Database, table: Table, warn: Callable[[str], None]) -> None:
    """Do the same for columns whose numbers may not come twice: an index tells their greatest one.

    Without an index, each run would read the whole table.
    """
    try:
        with database.reading() as connection:
            keys = (*table.keys, *database.backend.facts.of(connection, table).nullable_keys)
    except BatchopsError as error:
        warn(f'The numbers of new rows in "{table.label}" were not advanced: {error.message}')
        return
    advance_numbers(database, table, {key.columns[0] for key in keys}, warn)
