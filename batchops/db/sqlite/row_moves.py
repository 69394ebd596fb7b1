"""Moves rows in SQLite; no other session can write meanwhile, so both statements see the same rows."""

import sqlalchemy as sa

from batchops.db.row_moves import TwoStatements
from batchops.db.table import Table

_CHANGES = sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :name COLLATE NOCASE LIMIT 1")


class SQLiteRowMoves(TwoStatements):
    """Moves rows by INSERT … SELECT, then DELETE."""

    def changes(self, connection: sa.Connection, into: Table) -> str:
        """Return any trigger of the table: only its SQL shows which event fires it."""
        found = connection.execute(_CHANGES, {"name": into.name}).scalar()
        return f'trigger "{found}"' if found else ""
