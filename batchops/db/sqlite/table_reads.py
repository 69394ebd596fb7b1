"""The tables that a condition reads beside the rows that it is about, and the value of a sub-select as a literal."""

import json
import math
import re
import sqlite3
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.db.facts import TableName
from batchops.db.planner import prefixed
from batchops.db.sqlite.literals import literal
from batchops.db.sqlite.sql_functions import SQL_FUNCTIONS
from batchops.db.table import Table, quoted

_DRAWN = re.compile(
    rf"\b(?:{'|'.join(name.split('(')[0] for name in sorted(SQL_FUNCTIONS.fresh))})\s*\(", re.IGNORECASE
)
_ROW_NAMES = ("rowid", "_rowid_", "oid")


def tables_read(
    connection: sa.Connection, table: Table, condition: sa.ColumnElement[bool] | sa.TextClause,
    values: Sequence[sa.TextClause], functions: Collection[str],  # noqa: ARG001  none is stored in the file
) -> frozenset[TableName]:  # fmt: skip
    """Return the tables that SQLite asks its authorizer to read.

    A sub-select with the table's columns replaces the table itself, so the table appears only if it is read beside.
    """
    names = {name.lower() for name in table.column_names}
    hidden = [name for name in _ROW_NAMES if name not in names]
    columns = [sa.null().label(quoted(name)) for name in (*table.column_names, *hidden)]
    row = sa.select(*columns).subquery(quoted(table.alias or table.name))
    chosen = sa.select(*values) if values else sa.select(sa.literal_column("1"))
    try:
        read = {name for name, _ in _reads(connection, chosen.select_from(row).where(condition))}
    except DBAPIError:  # the condition uses full-text search, or the name "main.t", which the sub-select lacks
        read = _read_beside_rows(connection, table, chosen.select_from(table.called).where(condition))
    own = table.name.lower()
    return frozenset((None, table.name if name.lower() == own else name) for name in read)


def _read_beside_rows(connection: sa.Connection, table: Table, statement: sa.Select[Any]) -> set[str]:
    """Return the tables that the statement reads; the table itself only if a view or a second FROM or JOIN reads it."""
    name, own = re.escape(table.name), table.name.lower()
    named = re.compile(rf"(?:\b(?:from|join)\b|,)[\s(]*(?:main\.)?[\"`\[]?{name}[\"`\]]?(?![\w.])", re.IGNORECASE)
    twice = len(named.findall(str(statement.compile(connection)))) > 1
    reads = _reads(connection, statement)
    return {name for name, view in reads if name.lower() != own or view is not None or twice}


def _reads(connection: sa.Connection, statement: sa.Select[Any]) -> set[tuple[str, str | None]]:
    """Return the tables that the statement reads, each with the view through which it reads it."""
    read: set[tuple[str, str | None]] = set()

    def watch(action: int, name: str | None, _: Any, __: Any, view: str | None) -> int:
        if action == sqlite3.SQLITE_READ and name and not name.startswith("sqlite_"):
            read.add((name, view))
        return sqlite3.SQLITE_OK

    driver: Any = connection.connection.driver_connection
    driver.set_authorizer(watch)
    try:
        prefixed(connection, statement, "EXPLAIN QUERY PLAN").all()
    finally:
        driver.set_authorizer(None)
    return read


def value_literal(connection: sa.Connection, named: sa.TextClause) -> str | None:
    """Return a literal that compares as the value does, which depends on its affinity; None if there is none."""
    named = sa.text(_QUOTED.sub(_in_backquotes, named.text))
    value = connection.execute(sa.select(named)).scalar_one()
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    kinds: tuple[str, ...]
    if isinstance(value, str):
        if "\0" in value:
            return None
        written, kinds = literal(value), ("TEXT",)
        if _is_json(connection, named, value):
            written, kinds = f"json({written})", ()
    elif isinstance(value, float):
        written = repr(value) if math.isfinite(value) else ("9e999" if value > 0 else "-9e999")
        kinds = ("REAL",)
    else:
        written, kinds = str(value), ("INTEGER",)
    if _DRAWN.search(named.text):
        return f"({written})"  # a second evaluation of random() would return another value
    wanted = _comparisons(connection, named, value)
    for one in (*(f"CAST({written} AS {kind})" for kind in kinds), f"({written})"):
        if _comparisons(connection, sa.text(f"{one.replace(':', chr(92) + ':')} AS v"), value) == wanted:
            return one
    return None


_QUOTED = re.compile(r"""'(?:[^']|'')*'|`(?:[^`]|``)*`|\[[^\]]*\]|"(?:[^"]|"")*\"""")


def _in_backquotes(found: re.Match[str]) -> str:
    """Return a name in double quotes in backquotes instead.

    SQLite reads a name in double quotes as a text if no column has it, as when the outer row is not there.
    """
    text = found[0]
    return "`" + text[1:-1].replace('""', '"').replace("`", "``") + "`" if text.startswith('"') else text


def _is_json(connection: sa.Connection, named: sa.TextClause, value: str) -> bool:
    """Whether a JSON function treats the value as JSON, as it does the result of another JSON function."""
    text = named.text.removesuffix(" AS v")
    try:
        (inside,) = json.loads(connection.execute(sa.text(f"SELECT json_array({text})")).scalar_one())
    except DBAPIError:  # a library without JSON
        return False
    return not isinstance(inside, str) or (value.startswith('"') and inside != value)


def _comparisons(connection: sa.Connection, named: sa.TextClause, value: Any) -> tuple[Any, ...]:
    """Return what the value equals: the same value as text and as a number, each with and without an affinity."""
    number = _number(value)
    probes = [sa.text("v = CAST(:s AS TEXT)").bindparams(s=str(value)), sa.text("v = :s").bindparams(s=str(value))]
    probes += [sa.text("v = CAST(:n AS NUMERIC)").bindparams(n=number), sa.text("v = :n").bindparams(n=number)]
    return tuple(connection.execute(sa.select(*probes).select_from(sa.select(named).subquery("s"))).one())


def _number(value: Any) -> float:
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return 0
