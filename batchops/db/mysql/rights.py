"""Rights in MySQL and MariaDB: by the server's own word, as grants may stand on a role or on a pattern of names."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.db.explain import explained
from batchops.db.faults import Fault, driver_error
from batchops.db.mysql.faults import classify
from batchops.db.table import Table, quoted

Statement = sa.Select[Any] | sa.Update | sa.Delete
_NEVER = sa.literal_column("1") == sa.literal_column("0")


def missing_right(
    connection: sa.Connection, table: Table, right: str, columns: Sequence[str]
) -> tuple[str, ...] | None:  # fmt: skip
    """The columns without the right; empty: the table; None: nothing is missing, or the server does not tell.

    EXPLAIN asks for the same rights as the statement that it explains.
    """
    if right == "INSERT" or not _denied(connection, _statement(table, right, columns)):
        return None
    missing = tuple(name for name in columns if _denied(connection, _statement(table, right, [name])))
    return () if len(missing) == len(table.columns) else missing


def hides(connection: sa.Connection, table: Table) -> bool:
    """Whether the table may be there: without a right to it the server denies what it would else not find."""
    return _denied(connection, _statement(table, "SELECT", ()))


def _statement(table: Table, right: str, columns: Sequence[str]) -> Statement:
    if right == "DELETE":
        return sa.delete(table.clause).where(_NEVER)
    named = [table.clause.c[quoted(name)] for name in columns]
    if right == "UPDATE" and named:
        return sa.update(table.clause).values({column: sa.null() for column in named}).where(_NEVER)
    # To lock rows, any right to change them does.
    return sa.select(*(named or [sa.literal_column("1")])).select_from(table.clause).where(_NEVER)


def _denied(connection: sa.Connection, statement: Statement) -> bool:
    try:
        explained(connection, statement, "EXPLAIN").close()
    except DBAPIError as error:
        return classify(driver_error(error)) is Fault.DENIED
    return False
