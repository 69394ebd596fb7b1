"""Signals of PostgreSQL that one SELECT reads: the value, and what it belongs to."""

from dataclasses import dataclass

import sqlalchemy as sa

from batchops.db.signals import Measured, Scope
from batchops.errors import UnreachableError

OURS = "application_name = 'batchops' AND usename = current_user"
"""Condition for batchops' own sessions: by the name, which a pooler passes on, while the driver sees another pid."""


@dataclass(frozen=True)
class OneRow:
    """A signal that is one row with the columns `value` and `of`.

    No row means that there is nothing to measure; a NULL value means that the reading failed.
    """

    query: sa.TextClause
    nothing: str = ""
    """What it means if there is no row, in words."""
    oid: str | None = None
    """The OID of the job's table, where the query is about it."""

    def read(self, connection: sa.Connection) -> Measured:
        row = connection.execute(self.query, {} if self.oid is None else {"oids": [self.oid]}).one_or_none()
        if row is None:
            return Measured(None, of=self.nothing)
        if row.value is None:
            raise UnreachableError("the server gives no value.")
        return Measured(float(row.value), of=row.of)


def oid_of(scope: Scope) -> str | None:
    """Return the OID of the scope's table; None where the scope has no table."""
    return None if scope.table is None else str(scope.table.identity)


def no_table(scope: Scope) -> str:
    """Return what is missing to measure a signal of a table: the table, unless one is named."""
    return "" if scope.table is not None else "name a table"
