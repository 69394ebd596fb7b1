"""The right to see other roles' sessions, which PostgreSQL's statistics views require."""

import sqlalchemy as sa

from batchops.db.postgresql.rights import account
from batchops.db.signals import Scope

_HELD = sa.text("SELECT pg_catalog.pg_has_role(current_user, CAST(:role AS name), 'USAGE')")
STATS = "pg_read_all_stats"


def missing_stats_right(connection: sa.Connection, scope: Scope) -> str | None:
    """Return the statement that grants the right; None where the role has it."""
    if connection.execute(_HELD, {"role": STATS}).scalar_one():
        return None
    return f"GRANT {STATS} TO {account(connection.dialect, scope.role)};"
