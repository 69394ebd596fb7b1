"""Rights on tables, those that a role lacks, and the GRANT that gives them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from batchops.db.table import Table, table_name
from batchops.errors import RefusedError


@dataclass(frozen=True)
class MissingRight:
    """A right on a table, or on some of its columns, that the role does not have."""

    right: str
    """SELECT, INSERT, UPDATE or DELETE."""
    columns: tuple[str, ...]
    """The columns that the role lacks it on; empty: the whole table."""
    table: Table
    role: str
    account: str
    """The role as SQL names it."""

    @property
    def message(self) -> str:
        """What is missing, for an error message."""
        columns = f" ({', '.join(self.columns)})" if self.columns else ""
        return f'Role "{self.role}" has no right to {self.right}{columns} on table "{self.table.label}".'

    def hint(self, dialect: Dialect) -> str:
        """Return the hint with the statement that grants the right."""
        prepare = dialect.identifier_preparer
        columns = f" ({', '.join(map(prepare.quote, self.columns))})" if self.columns else ""
        return f"grant it: {grant(dialect, [self.right + columns], self.table, self.account)}"

    def refusal(self, dialect: Dialect) -> RefusedError:
        """Return the error that the missing right leads to."""
        return RefusedError(self.message, self.hint(dialect))


def grant(dialect: Dialect, rights: Sequence[str], table: Table, account: str) -> str:
    """Return the statement that grants these rights on the table."""
    on = table_name(dialect, table)
    return f"GRANT {', '.join(rights)} ON {on} TO {account};"


Needs = Sequence[tuple[str, Sequence[str]]]
"""Rights, each with the columns that it is needed on; no columns: on the table, or on any one column of it."""


class Rights(Protocol):
    """What a role may do, as the server itself tells; each call needs a transaction of `Database.explaining`."""

    def account(self, dialect: Dialect, role: str) -> str:
        """Return the role as SQL names it."""

    def making(self, connection: sa.Connection, table: Table, role: str) -> str | None:
        """Return the statement that lets this role make the table and use it.

        None where the role may do that already, or where the server does not tell.
        """

    def listing(self, connection: sa.Connection, table: Table, role: str) -> str | None:
        """Return the statement that lets this role make a table from a SELECT, read it and drop it, whatever its name.

        None as for `making`.
        """

    def numbering(self, connection: sa.Connection, tables: Sequence[Table], role: str) -> Mapping[str, Sequence[str]]:
        """Return the statements that let this role insert rows that the database numbers, by the name of the table."""

    def all_held(self, connection: sa.Connection, needs: Sequence[tuple[Table, str]]) -> bool:
        """Whether the role has all of these rights, each on its table as a whole; False where that is not known."""

    def missing(
        self, connection: sa.Connection, table: Table, right: str, columns: Sequence[str]
    ) -> tuple[str, ...] | None:
        """Return the columns that the role lacks the right on; empty: the whole table; None: nothing is missing.

        `right` is SELECT, INSERT, UPDATE or DELETE. Without `columns`, the right on the table or on any one of its
        columns is enough.
        """
