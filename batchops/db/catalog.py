"""What a server says about itself and about its tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import sqlalchemy as sa

from batchops.db.table import Table, TableIdentity
from batchops.errors import RefusedError


@dataclass(frozen=True)
class Server:
    """The server that answered, and the role that it knows the session by."""

    product: str
    version: str
    identity: str
    """Where the data is, for a ledger kept elsewhere: a system identifier, a host and port, a file's path."""
    role: str
    zone: str
    read_only: bool
    unwritable: tuple[str, str] = ("", "connect to the primary.")
    """Why the server is read-only, empty where it does not say, and the way out."""

    def refusal(self, shown: str) -> RefusedError | None:
        """Return the error for a read-only server, None for any other; `shown` is its address without secrets."""
        why, hint = self.unwritable
        return RefusedError(why or f"The server is read-only ({shown}).", hint) if self.read_only else None


class Catalog(Protocol):
    """What the server says about itself and its tables."""

    def server(self, connection: sa.Connection) -> Server:
        """Return the server, and the session's role and time zone."""

    def find(self, connection: sa.Connection, schema: str | None, name: str) -> Table | None:
        """Return the table of that name, or None."""

    def find_all(self, connection: sa.Connection, names: Sequence[tuple[str | None, str]]) -> list[Table]:
        """Return those of the tables that exist; each is named by its schema and its exact name."""

    def existing(self, connection: sa.Connection, schema: str | None, names: Sequence[str]) -> frozenset[str]:
        """Return those of the names that a table or view has, by one statement; no schema: where the session looks."""

    def table_identity(self, connection: sa.Connection, table: Table) -> TableIdentity:
        """Return the server's own identity of the table, as far as this role may see it."""

    def unlabelled(self, label: str) -> tuple[str | None, str]:
        """Return schema and name of the table that has this label: the reverse of `Table.label`."""

    def tables(self, connection: sa.Connection) -> Sequence[str]:
        """Return the names of the tables that a person may have meant."""

    def hides(self, connection: sa.Connection, table: Table) -> bool:
        """Whether the table may exist although `find` does not see it, because this role has no right to it."""
