"""Reads foreign keys from SQLite's pragmas."""

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from batchops.db.facts import RESTRICT, TableName
from batchops.db.foreign_keys import ForeignKey, Indexes, Unseen
from batchops.db.table import Table
from batchops.db.types import KeyValue

_ALL = sa.text("""
SELECT m.name AS child, f.id, f."from" AS col, coalesce(p.name, f."table") AS parent, f."to" AS referred, f.on_delete,
       m.sql LIKE '%DEFERRABLE INITIALLY DEFERRED%' AS deferred
FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f
LEFT JOIN sqlite_master p ON p.type = 'table' AND p.name = f."table" COLLATE NOCASE
WHERE m.type = 'table' ORDER BY m.name, f.id DESC, f.seq
""")
_PRIMARY = sa.text("""
SELECT m.name AS "table", c.name FROM sqlite_master m JOIN pragma_table_xinfo(m.name) c
WHERE m.type = 'table' AND c.pk ORDER BY m.name, c.pk
""")
_INDEXES = sa.text("""
SELECT m.name AS "table", i.name AS name, coalesce(c.name, '') AS col
FROM sqlite_master m JOIN pragma_index_list(m.name) i JOIN pragma_index_info(i.name) c
WHERE m.type = 'table' AND NOT i.partial ORDER BY m.name, i.name, c.seqno
""")
_BROKEN = sa.text("SELECT 1 FROM pragma_foreign_key_check(:table) LIMIT 1")


class SQLiteForeignKeys:
    """Reads the foreign keys of the file. Each connection decides whether they are enforced; batchops' own do."""

    in_this_order = ""
    stops_early = True
    keeps_own_row = False

    def all(self, connection: sa.Connection, schemas: Collection[str | None]) -> Sequence[ForeignKey]:  # noqa: ARG002
        rows = connection.execute(_ALL).all()
        primary = _primary_keys(connection)
        return [
            _foreign_key(list(parts), primary.get(name, ()))
            for (_, _, name), parts in groupby(rows, key=lambda r: (r.child, r.id, r.parent))
        ]

    def partitions(self, connection: sa.Connection) -> Mapping[TableName, TableName]:  # noqa: ARG002
        """Return nothing: SQLite has no partitions."""
        return {}

    def indexes(self, connection: sa.Connection, tables: Sequence[Table]) -> Indexes:
        wanted = {table.name: (table.schema, table.name) for table in tables}
        found: dict[TableName, list[tuple[str, ...]]] = {name: [] for name in wanted.values()}
        for table, columns in _primary_keys(connection).items():
            if table in wanted:
                found[wanted[table]].append(columns)
        rows = connection.execute(_INDEXES).all()
        for (table, _), parts in groupby(rows, key=lambda r: (r.table, r.name)):
            if table in wanted:
                found[wanted[table]].append(tuple(part.col for part in parts))
        return found

    def checks_each_row(self, on_delete: str) -> bool:
        return on_delete == RESTRICT

    def refuses_each(self, connection: sa.Connection, table: Table) -> bool:
        """Whether no row of the table refers to a row that is missing.

        SQLite counts the references that a statement breaks minus those that it mends. Deleting a row with a broken
        reference mends one, so the same statement could break another one without an error.
        """
        return connection.execute(_BROKEN, {"table": table.name}).first() is None

    def in_order(
        self, table: Table, names: Sequence[str], keys: Sequence[KeyValue]  # noqa: ARG002  the protocol's shape
    ) -> sa.ColumnElement[bool] | None:  # fmt: skip
        """Return None: the order of a DELETE cannot be set."""
        return None

    def by_key(
        self, table: Table, names: Sequence[str], *, downwards: bool  # noqa: ARG002  the protocol's shape
    ) -> sa.ColumnElement[bool] | None:  # fmt: skip
        """Return None: the order of a DELETE cannot be set."""
        return None

    def unseen(self, connection: sa.Connection, table: Table) -> Unseen:  # noqa: ARG002
        """There are no roles."""
        return Unseen()

    def defer(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")


def _primary_keys(connection: sa.Connection) -> dict[str, tuple[str, ...]]:
    rows = connection.execute(_PRIMARY).all()
    return {table: tuple(row.name for row in parts) for table, parts in groupby(rows, key=lambda r: r.table)}


def _foreign_key(parts: Sequence[sa.Row[Any]], primary: tuple[str, ...]) -> ForeignKey:
    first = parts[0]
    named = tuple(part.referred for part in parts)
    return ForeignKey(
        name=None,
        child=(None, first.child),
        columns=tuple(part.col for part in parts),
        parent=(None, first.parent),
        # A key that names no columns of the parent means the primary key.
        referred=primary if None in named else named,
        on_delete=first.on_delete,
        deferrable=True,  # PRAGMA defer_foreign_keys defers all of a transaction
        # No pragma shows it; if the table's DDL says so of one key, all its keys count as deferred.
        deferred=bool(first.deferred),
        validated=False,
    )
