"""A signal of PostgreSQL that one SELECT gives: its value, and what the value is of."""

from dataclasses import dataclass

import sqlalchemy as sa

from batchops.db.signals import Measured, Scope
from batchops.errors import UnreachableError

OURS = "application_name = 'batchops' AND usename = current_user"
"""Sessions of batchops. Behind a pooler the driver knows another pid than the server; the name is passed on."""
OWN_TABLE = """
WITH RECURSIVE own AS (
    SELECT CAST(:oid AS oid) AS oid
    UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN own ON i.inhparent = own.oid
)"""
"""The job's table with its partitions."""


@dataclass(frozen=True)
class OneRow:
    """The columns `value` and `of` of the one row. No row: there is nothing to measure; NULL: there is no reading."""

    query: sa.TextClause
    nothing: str = ""
    """What it means that there is no row."""
    oid: str | None = None
    """Of the job's table, where the query is about that."""

    def read(self, connection: sa.Connection) -> Measured:
        row = connection.execute(self.query, {} if self.oid is None else {"oid": self.oid}).one_or_none()
        if row is None:
            return Measured(None, of=self.nothing)
        if row.value is None:
            raise UnreachableError("the server gives no value.")
        return Measured(float(row.value), of=row.of)


def oid_of(scope: Scope) -> str | None:
    """The table's, for a signal that is about it."""
    return None if scope.table is None else str(scope.table.identity)


def no_table(scope: Scope) -> str:
    """What is missing to measure it, where no table is named."""
    return "" if scope.table is not None else "name a table"
