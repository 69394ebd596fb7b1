"""Finds foreign keys that this role does not see, by which the server may delete or change rows of other tables."""

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from batchops.bulk.verb import BulkVerb
from batchops.db.database import Database
from batchops.db.foreign_keys import Unseen
from batchops.db.table import Table


@dataclass(frozen=True)
class UnseenChildren:
    """The foreign keys that this role does not see, by each table whose rows the job deletes."""

    unseen: tuple[tuple[Table, Unseen], ...] = ()

    @property
    def acting(self) -> Iterator[tuple[str, str]]:
        """Tables whose rows are deleted or changed, each with the table that it refers to."""
        for table, unseen in self.unseen:
            yield from ((child, table.label) for child in unseen.acting)

    def warnings(self, verb: BulkVerb) -> Iterator[str]:
        """Yield a warning about what may happen unnoticed."""
        names = ", ".join(f'"{table.label}"' for table, unseen in self.unseen if unseen.possible)
        if names:
            lost = " without archiving them" if verb.removed != "delete" else ""
            yield (
                f"This role may not read all tables of the database: one that it does not see may refer to {names} "
                f"with ON DELETE CASCADE or SET NULL. The server would delete or change its rows{lost}, and nothing "
                "would say so. GRANT SELECT on the database, or PROCESS, shows whether there is one."
            )


NOTHING_UNSEEN = UnseenChildren()


def unseen_children(connection: sa.Connection, database: Database, tables: tuple[Table, ...]) -> UnseenChildren:
    """Return what this role does not see of the foreign keys to these tables."""
    unseen = database.backend.foreign_keys.unseen
    return UnseenChildren(tuple((table, unseen(connection, table)) for table in tables))
