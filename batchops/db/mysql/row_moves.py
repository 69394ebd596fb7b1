"""Moves rows in MariaDB and MySQL."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import sqlalchemy as sa

from batchops.db.row_moves import TwoStatements
from batchops.db.table import Table

_CHANGING = frozenset(("NO_ZERO_DATE", "NO_ZERO_IN_DATE"))
"""Modes that refuse dates which the source table already holds."""
_EXACT = ("STRICT_ALL_TABLES", "NO_AUTO_VALUE_ON_ZERO", "ALLOW_INVALID_DATES")
_SET = sa.text("SET SESSION sql_mode = :mode")
_CHANGES = sa.text(
    "SELECT concat('trigger \"', trigger_name, '\"') FROM information_schema.triggers "
    "WHERE event_object_schema = coalesce(:schema, database()) AND event_object_table = :name "
    "AND event_manipulation = 'INSERT' AND action_timing = 'BEFORE' LIMIT 1"
)


class MySQLRowMoves(TwoStatements):
    """Moves rows by INSERT … SELECT … FOR UPDATE, then DELETE."""

    @contextmanager
    def as_they_are(self, connection: sa.Connection) -> Iterator[None]:
        """Run the block under a mode in which the server inserts each value exactly, or refuses the row.

        Under the session's own mode 0 may become the next number, and NULL in a NOT NULL column 0. Afterwards the
        session's mode is restored, as a condition may have another meaning under another mode.
        """
        own = str(connection.exec_driver_sql("SELECT @@sql_mode").scalar_one())
        kept = [mode for mode in own.split(",") if mode and mode not in _CHANGING]
        connection.execute(_SET, {"mode": ",".join((*kept, *_EXACT))})
        try:
            yield
        finally:
            with suppress(sa.exc.SQLAlchemyError):  # on a lost connection there is no mode to restore
                connection.execute(_SET, {"mode": own})

    def changes(self, connection: sa.Connection, into: Table) -> str:
        found = connection.execute(_CHANGES, {"schema": into.schema, "name": into.name}).scalar()
        return str(found or "")
