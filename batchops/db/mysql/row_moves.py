"""Moving rows in MariaDB and MySQL."""

import sqlalchemy as sa

from batchops.db.row_moves import TwoStatements
from batchops.db.table import Table

_CHANGES = sa.text(
    "SELECT concat('trigger \"', trigger_name, '\"') FROM information_schema.triggers "
    "WHERE event_object_schema = coalesce(:schema, database()) AND event_object_table = :name "
    "AND event_manipulation = 'INSERT' AND action_timing = 'BEFORE' LIMIT 1"
)


class MySQLRowMoves(TwoStatements):
    """INSERT … SELECT … FOR UPDATE."""

    def changes(self, connection: sa.Connection, into: Table) -> str:
        found = connection.execute(_CHANGES, {"schema": into.schema, "name": into.name}).scalar()
        return str(found or "")
