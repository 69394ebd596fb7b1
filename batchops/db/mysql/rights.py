"""Rights in MySQL and MariaDB: the server is asked, as grants may be on a role or on a pattern of names."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.db.faults import Fault, driver_error
from batchops.db.mysql.faults import classify
from batchops.db.planner import prefixed
from batchops.db.rights import grant
from batchops.db.table import Table, quoted, table_name

Statement = sa.Select[Any] | sa.Insert | sa.Update | sa.Delete
_USED = ("SELECT", "INSERT", "UPDATE", "DELETE")
_NEVER = sa.literal_column("1") == sa.literal_column("0")


def account(dialect: sa.Dialect, role: str) -> str:
    """Return the account with its host, each part quoted."""
    name, at, host = role.rpartition("@")
    return f"'{name}'@'{host}'" if at else dialect.identifier_preparer.quote(role)


def missing_right(
    connection: sa.Connection, table: Table, right: str, columns: Sequence[str]
) -> tuple[str, ...] | None:  # fmt: skip
    """Return the columns that the account lacks the right on; empty: the whole table; None: nothing, or it is unknown.

    EXPLAIN needs the same rights as the statement that it explains.
    """
    if not _denied(connection, _statement(table, right, columns)):
        return None
    missing = tuple(name for name in columns if _denied(connection, _statement(table, right, [name])))
    return () if len(missing) == len(table.columns) else missing


def making_right(connection: sa.Connection, table: Table, role: str) -> str | None:
    """Return the statement that lets this account make the table and use it; None if it may.

    PREPARE checks the right to CREATE. An account does not own the tables that it makes: it needs the other rights too.
    """
    dialect, made = connection.dialect, _may_create(connection, table)
    used = all(not _denied(connection, _statement(table, right, table.column_names[:1])) for right in _USED)
    return (
        None if made and used else grant(dialect, ("CREATE", "ALTER", "INDEX", *_USED), table, account(dialect, role))
    )


def listing_right(connection: sa.Connection, table: Table, role: str) -> str | None:
    """Return the grant on all tables of the database, as each list has another name; None if the account may do it all.

    Whether it has the right to DROP cannot be checked.
    """
    rights = ("SELECT", "INSERT")
    if _may_create(connection, table) and not any(
        _denied(connection, _statement(table, right, table.column_names[:1])) for right in rights
    ):
        return None
    schema = table.schema or connection.execute(sa.select(sa.func.database())).scalar_one()
    where = connection.dialect.identifier_preparer.quote_identifier(schema)
    return f"GRANT CREATE, DROP, INDEX, {', '.join(rights)} ON {where}.* TO {account(connection.dialect, role)};"


def _may_create(connection: sa.Connection, table: Table) -> bool:
    name = table_name(connection.dialect, table)
    text = f"CREATE TABLE {name} (number int)".replace("'", "''").replace("%", "%%")
    try:
        connection.exec_driver_sql(f"PREPARE batchops_may FROM '{text}'")
        connection.exec_driver_sql("DEALLOCATE PREPARE batchops_may")
    except DBAPIError as error:
        return classify(driver_error(error)) is not Fault.DENIED
    return True


def numbering_rights(
    connection: sa.Connection, tables: Sequence[Table], role: str  # noqa: ARG001  the protocol's shape
) -> dict[str, list[str]]:  # fmt: skip
    """Return nothing: AUTO_INCREMENT needs no right."""
    return {}


def all_held(connection: sa.Connection, needs: Sequence[tuple[Table, str]]) -> bool:  # noqa: ARG001
    """Return False: each right takes an EXPLAIN of its own."""
    return False


def hides(connection: sa.Connection, table: Table) -> bool:
    """Whether the table may exist: the server reports a missing right, and not a missing table."""
    return _denied(connection, _statement(table, "SELECT", ()))


def _statement(table: Table, right: str, columns: Sequence[str]) -> Statement:
    if right == "DELETE":
        return sa.delete(table.clause).where(_NEVER)
    named = [table.clause.c[quoted(name)] for name in columns]
    if right == "UPDATE" and named:
        return sa.update(table.clause).values({column: sa.null() for column in named}).where(_NEVER)
    if right == "INSERT":
        return sa.insert(table.clause).values({column: sa.null() for column in named or list(table.clause.c)[:1]})
    # To lock rows, any right to change them is enough.
    return sa.select(*(named or [sa.literal_column("1")])).select_from(table.clause).where(_NEVER)


def _denied(connection: sa.Connection, statement: Statement) -> bool:
    try:
        prefixed(connection, statement, "EXPLAIN").close()
    except DBAPIError as error:
        return classify(driver_error(error)) is Fault.DENIED
    return False


class MySQLRights:
    """Finds missing rights by the statements that the server denies."""

    account = staticmethod(account)
    making = staticmethod(making_right)
    listing = staticmethod(listing_right)
    numbering = staticmethod(numbering_rights)
    all_held = staticmethod(all_held)
    missing = staticmethod(missing_right)
