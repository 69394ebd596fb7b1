"""The SQL that makes a place for leases: columns of the queue's table, or the table batchops_row_lease.

Unlike the ledger's tables, batchops_row_lease has no version: `table_ddl` adds the columns that it lacks.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

from batchops.db.database import Database
from batchops.db.table import Table, quoted
from batchops.db.types import KEY_TEXT, LONG_TEXT, KeyText
from batchops.queue.leases.column_names import BEFORE_CLAIM, LeaseColumns

TABLE = "batchops_row_lease"
OLD_TABLE = "batchops_lease"
"""The name of that table in an earlier version. Now the ledger keeps the leases of runs in a table of this name."""
LEASES = sa.Table(
    TABLE, sa.MetaData(),
    sa.Column("relation", KEY_TEXT, primary_key=True),
    sa.Column("row_key", KeyText(500), primary_key=True),
    sa.Column("lease", sa.String(40)),
    sa.Column("lease_until", sa.Double),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_at", sa.Double),
    sa.Column("failure", LONG_TEXT),
    sa.Column(BEFORE_CLAIM, LONG_TEXT),
)  # fmt: skip


def creation() -> CreateTable:
    """Return the statement that makes the lease table."""
    return CreateTable(LEASES, if_not_exists=True)


def column_ddl(database: Database, table: Table, names: LeaseColumns) -> Iterator[str]:
    """Yield a statement for each missing lease column. A column with a constant default is added without a rewrite."""
    prepare = database.engine.dialect.identifier_preparer
    types = database.backend.claims.types
    for purpose in names.missing(table):
        column = prepare.quote(names.name(purpose))
        yield f"ALTER TABLE {prepare.format_table(table.clause)} ADD COLUMN {column} {types[names.kinds[purpose]]}"


def reuse_columns(
    connection: sa.Connection, database: Database, table: Table, names: LeaseColumns
) -> Iterator[str]:  # fmt: skip
    """Yield notes about existing columns with such names; raise RefusedError if one cannot be used."""
    names.check(database.backend.claims, table)
    names.other_case(database.backend, table)
    names.try_values(connection, database.backend, table, attempts=1)
    if not LeaseColumns(names.prefix).missing(table):
        return  # the table is a queue already, and its leases may be in use
    for purpose in names.kinds:
        name = names.name(purpose)
        if name not in table.column_names:
            continue
        column = table.column(name)
        if purpose in ("lease", "lease_until", "next_at", BEFORE_CLAIM) and _some(
            connection, table, table.clause.c[quoted(name)].is_not(None)
        ):
            raise names.refusal(table, column, "another program keeps values in it")
        yield f"{name} ({column.type}) is there already and is used{_counted(connection, table, purpose, name)}."


def _counted(connection: sa.Connection, table: Table, purpose: str, name: str) -> str:
    if purpose != "attempts" or not _some(connection, table, table.clause.c[quoted(name)] > sa.literal_column("0")):
        return ""
    return (
        "; its counts are kept. A row at --max-attempts or more is given up at its first failure; "
        "--lease-prefix batchops_ adds columns of its own instead"
    )


def _some(connection: sa.Connection, table: Table, holds: sa.ColumnElement[bool]) -> bool:
    """Whether the condition holds for any row."""
    found: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(table.clause).where(holds)
    return connection.execute(found.limit(1)).first() is not None


def table_ddl(connection: sa.Connection, database: Database) -> Iterator[str]:
    """Yield the statements that make the lease table, or bring it up to date; none if it is up to date."""
    format_table = database.engine.dialect.identifier_preparer.format_table
    lease_table, old = (database.backend.catalog.find(connection, None, name) for name in (TABLE, OLD_TABLE))
    if lease_table is None and old is not None and "relation" in old.column_names:
        yield f"ALTER TABLE {format_table(old.clause)} RENAME TO {TABLE}"
        lease_table = replace(old, name=TABLE)
    if lease_table is not None:
        if BEFORE_CLAIM not in lease_table.column_names:
            kind = database.backend.claims.types["long text"]
            yield f"ALTER TABLE {format_table(lease_table.clause)} ADD COLUMN {BEFORE_CLAIM} {kind}"
        return
    yield " ".join(str(creation().compile(dialect=database.engine.dialect)).split())
