"""Moving rows in SQLite: nobody else writes meanwhile, so that both statements mean the same rows."""

import sqlalchemy as sa

from batchops.db.row_moves import TwoStatements
from batchops.db.table import Table

_CHANGES = sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :name COLLATE NOCASE LIMIT 1")


class SQLiteRowMoves(TwoStatements):
    """INSERT … SELECT."""

    def changes(self, connection: sa.Connection, into: Table) -> str:
        """Any trigger: only its text says which event fires it."""
        found = connection.execute(_CHANGES, {"name": into.name}).scalar()
        return f'trigger "{found}"' if found else ""
