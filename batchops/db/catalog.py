"""Which server this is, and which tables it has."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import sqlalchemy as sa

from batchops.db.table import Table, TableIdentity
from batchops.errors import RefusedError


@dataclass(frozen=True)
class Server:
    """Which server answered, and as whom."""

    product: str
    version: str
    identity: str
    """Where the data is, for a ledger kept elsewhere: a system identifier, a host and port, a file's path."""
    role: str
    zone: str
    read_only: bool
    unwritable: tuple[str, str] = ("", "connect to the primary.")
    """Why it is read-only, where it says that, and the way out."""

    def refusal(self, shown: str) -> RefusedError | None:
        """Where nothing can be written; `shown`: its address."""
        why, hint = self.unwritable
        return RefusedError(why or f"The server is read-only ({shown}).", hint) if self.read_only else None


class Catalog(Protocol):
    """What the server says about itself and its tables."""

    def server(self, connection: sa.Connection) -> Server:
        """The server and the session."""

    def find(self, connection: sa.Connection, schema: str | None, name: str) -> Table | None:
        """The table of that name, or None."""

    def find_all(self, connection: sa.Connection, names: Sequence[tuple[str | None, str]]) -> list[Table]:
        """Those that are there of many tables, each by its schema and exact name."""

    def table_identity(self, connection: sa.Connection, table: Table) -> TableIdentity:
        """What the server itself remembers the table by, as far as this role may see it."""

    def unlabelled(self, label: str) -> tuple[str | None, str]:
        """Schema and name of the table that has this label; `Table.label` the other way round."""

    def tables(self, connection: sa.Connection) -> Sequence[str]:
        """Names of the tables a person may have meant."""

    def hides(self, connection: sa.Connection, table: Table) -> bool:
        """Whether the table may be there although `find` does not see it, because this role has no right to it."""
