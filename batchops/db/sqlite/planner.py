"""SQLite's plans; SQLite has neither estimates nor counters of rows read."""

import re
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from batchops.db.planner import Work, prefixed
from batchops.db.table import Table, count_rows

_SEARCH = re.compile(r"^SEARCH (?P<table>\S+) USING ")
_BY_INDEX = re.compile(
    r"^SEARCH .+ USING (?:(?P<primary>(?:INTEGER )?PRIMARY KEY)|(?:COVERING )?INDEX (?P<index>.+)) \("
)
_PARTS = sa.text("SELECT name FROM pragma_index_info(:index) ORDER BY seqno")
_MOST = 1_000_000
"""The most rows that are counted."""


class SQLitePlanner:
    """Uses EXPLAIN QUERY PLAN, and counts rows within bounds."""

    explains_writes = True

    def shield(self, table: Table) -> str:
        """Return a plus sign; nothing for a virtual table, as its MATCH is no function and allows no sign before it."""
        return "" if table.kind == "virtual" else "+"

    def matches(self, connection: sa.Connection, select: sa.Select[Any]) -> int | None:  # noqa: ARG002  no estimates
        return None

    def explain(self, connection: sa.Connection, statement: sa.Select[Any] | sa.Delete | sa.Update) -> list[str]:
        return [row.detail for row in prefixed(connection, statement, "EXPLAIN QUERY PLAN")]

    def work(
        self, connection: sa.Connection, table: Table, parts: Sequence[Table], select: sa.Select[Any]  # noqa: ARG002
    ) -> Work | None:  # fmt: skip
        """Count the matching rows, up to a bound, if an index finds them.

        If the plan reads the table, return all its rows as the work; None for a large table, which is not counted,
        as writers wait for readers.
        """
        details = [row.detail for row in prefixed(connection, select, "EXPLAIN QUERY PLAN")]
        searched = any((found := _SEARCH.match(detail)) and found["table"] == table.name for detail in details)
        if not searched or any(detail.startswith("SCAN") and detail.split()[1] == table.name for detail in details):
            return Work(table.rows, table.rows, guessed=True) if table.rows and table.rows <= _MOST else None
        bound = min(_MOST, table.rows // 2 if table.rows else _MOST) + 1
        rows = count_rows(connection, select.limit(bound).subquery())
        return None if rows == bound else Work(rows, rows)

    def finds_by_key(
        self, connection: sa.Connection, table: Table, names: Sequence[str], select: sa.Select[Any]
    ) -> bool:  # fmt: skip
        details = [row.detail for row in prefixed(connection, select, "EXPLAIN QUERY PLAN")]
        found = _BY_INDEX.match(details[0]) if len(details) == 1 else None
        if found is None:
            return False
        if found["primary"]:
            return tuple(names) == table.primary or names[0] not in table.column_names  # the row number
        return list(connection.execute(_PARTS, {"index": found["index"]}).scalars()) == list(names)

    def meter(self, *_: object) -> None:  # no such counters
        return None
