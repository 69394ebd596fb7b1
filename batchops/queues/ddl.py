"""The SQL that gives a table a place to keep leases in."""

from collections.abc import Iterator

from batchops.db.database import Database
from batchops.db.table import Table
from batchops.queues.columns import COLUMNS
from batchops.queues.side import creation


def column_ddl(database: Database, table: Table) -> Iterator[str]:
    """A statement for each lease column that is missing. A column with a constant default is added at once."""
    prepare = database.engine.dialect.identifier_preparer
    types = database.family.claims.types
    for name, kind in COLUMNS.items():
        if name not in table.column_names:
            yield f"ALTER TABLE {prepare.format_table(table.clause)} ADD COLUMN {prepare.quote(name)} {types[kind]}"


def table_ddl(database: Database) -> Iterator[str]:
    """The statement that makes the table beside."""
    yield " ".join(str(creation().compile(dialect=database.engine.dialect)).split())
