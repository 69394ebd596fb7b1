"""The rights that PostgreSQL's statistics views and some of its settings require, as predefined roles."""

import sqlalchemy as sa

from batchops.db.postgresql.rights import account
from batchops.db.signals import Scope

_HELD = sa.text("SELECT pg_catalog.pg_has_role(current_user, CAST(:role AS name), 'USAGE')")


def missing_stats_right(connection: sa.Connection, scope: Scope) -> str | None:
    """Return the statement that grants the right to see other roles' sessions; None where the role has it."""
    return _missing(connection, scope, "pg_read_all_stats")


def missing_settings_right(connection: sa.Connection, scope: Scope) -> str | None:
    """Return the statement that grants the right to read all settings; None where the role has it."""
    return _missing(connection, scope, "pg_read_all_settings")


def _missing(connection: sa.Connection, scope: Scope, predefined: str) -> str | None:
    if connection.execute(_HELD, {"role": predefined}).scalar_one():
        return None
    return f"GRANT {predefined} TO {account(connection.dialect, scope.role)};"
