"""Which tables a condition reads beside the rows that it is about, and the value of a sub-select as a literal."""

import math
import sqlite3
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.db.explain import explained
from batchops.db.facts import TableName
from batchops.db.sqlite.literals import literal
from batchops.db.table import Table, quoted

_ROW_NAMES = ("rowid", "_rowid_", "oid")


def tables_read(
    connection: sa.Connection, table: Table, condition: sa.ColumnElement[bool] | sa.TextClause,
    values: Sequence[sa.TextClause], functions: Collection[str],  # noqa: ARG001  none is stored in the file
) -> frozenset[TableName]:  # fmt: skip
    """By what the library asks leave to read, where a row of the table's columns stands for the table itself."""
    names = {name.lower() for name in table.column_names}
    hidden = [name for name in _ROW_NAMES if name not in names]
    columns = [sa.null().label(quoted(name)) for name in (*table.column_names, *hidden)]
    row = sa.select(*columns).subquery(quoted(table.alias or table.name))
    chosen = sa.select(*values) if values else sa.select(sa.literal_column("1"))
    read: set[TableName] = set()

    def watch(action: int, name: str | None, *_: Any) -> int:
        if action == sqlite3.SQLITE_READ and name and not name.startswith("sqlite_"):
            read.add((None, name))
        return sqlite3.SQLITE_OK

    driver: Any = connection.connection.driver_connection
    driver.set_authorizer(watch)
    try:
        explained(connection, chosen.select_from(row).where(condition), "EXPLAIN QUERY PLAN").all()
    except DBAPIError:
        return frozenset()  # a row is no full-text table, and no "main.t": such a condition has been planned already
    finally:
        driver.set_authorizer(None)
    same = {(None, table.name) if name.lower() == table.name.lower() else (None, name) for _, name in read}
    return frozenset(same)


def value_literal(connection: sa.Connection, named: sa.TextClause) -> str | None:
    """A literal that compares as the value does: a number of a numeric column has that column's affinity."""
    value = connection.execute(sa.select(named)).scalar_one()
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    if isinstance(value, str):
        return None if "\0" in value else literal(value)
    if isinstance(value, float):
        written = repr(value) if math.isfinite(value) else ("9e999" if value > 0 else "-9e999")
    else:
        written = str(value)
    as_text = sa.select(sa.column("v") == str(value)).select_from(sa.select(named).subquery("s"))
    numeric = connection.execute(as_text).scalar_one()
    kind = "REAL" if isinstance(value, float) else "INTEGER"
    return f"CAST({written} AS {kind})" if numeric else f"({written})"
