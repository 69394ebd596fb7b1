"""A right that a role lacks, as GRANT spells it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from batchops.db.table import Table
from batchops.errors import RefusedError


@dataclass(frozen=True)
class MissingRight:
    """A right on a table, or on some of its columns, that the role does not have."""

    right: str
    """SELECT, INSERT, UPDATE or DELETE."""
    columns: tuple[str, ...]
    """Those without it; empty: the table as a whole."""
    table: Table
    role: str
    account: str
    """The role as SQL names it."""

    @property
    def message(self) -> str:
        """What is missing."""
        columns = f" ({', '.join(self.columns)})" if self.columns else ""
        return f'Role "{self.role}" has no right to {self.right}{columns} on table "{self.table.label}".'

    def hint(self, dialect: Dialect) -> str:
        """The statement that gives it."""
        prepare = dialect.identifier_preparer
        columns = f" ({', '.join(map(prepare.quote, self.columns))})" if self.columns else ""
        return f"grant it: {grant(dialect, [self.right + columns], self.table, self.account)}"

    def refusal(self, dialect: Dialect) -> RefusedError:
        """As an error."""
        return RefusedError(self.message, self.hint(dialect))


def grant(dialect: Dialect, rights: Sequence[str], table: Table, account: str) -> str:
    """The statement that gives these rights on the table."""
    on = dialect.identifier_preparer.format_table(table.clause)
    return f"GRANT {', '.join(rights)} ON {on} TO {account};"


Needs = Sequence[tuple[str, Sequence[str]]]
"""Rights with the columns that they are needed for; no columns: for the table, or for any one column of it."""


class Rights(Protocol):
    """What a role may do, by the server's own word; the transaction is one of `Database.explaining`."""

    def account(self, dialect: Dialect, role: str) -> str:
        """The role as SQL names it."""

    def making(self, connection: sa.Connection, table: Table, role: str) -> str | None:
        """The statement that lets this role make a table and use it; None where it may, or the server does not tell."""

    def listing(self, connection: sa.Connection, table: Table, role: str) -> str | None:
        """The same for a table of any name that is read from a SELECT and dropped again."""

    def numbering(self, connection: sa.Connection, table: Table, role: str) -> Sequence[str]:
        """The statements that let this role have new rows of the table numbered."""

    def missing(
        self, connection: sa.Connection, table: Table, right: str, columns: Sequence[str]
    ) -> tuple[str, ...] | None:
        """The columns without SELECT, INSERT, UPDATE or DELETE; empty: the table; None: nothing is missing.

        No columns: is there the right to the table, or to any one of its columns?
        """
