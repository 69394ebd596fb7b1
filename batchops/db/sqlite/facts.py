"""What depends on a SQLite table, and which tables a plan reads from end to end."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from threading import Timer
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.db import server_host
from batchops.db.facts import (
    CASCADE,
    RESTRICT,
    FullRead,
    LogCost,
    OtherTable,
    Reference,
    TableFacts,
    TableName,
    Trigger,
)
from batchops.db.faults import Fault, driver_error
from batchops.db.planner import prefixed
from batchops.db.sqlite import table_reads
from batchops.db.sqlite.faults import classify
from batchops.db.sqlite.triggers import triggers
from batchops.db.table import Key, Table, count_rows, quoted
from batchops.errors import RefusedError

_REFERENCES = sa.text("""
SELECT m.name AS child, f.id, f."from" AS col, f."to" AS referred, f.on_delete, f.on_update
FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f
WHERE m.type = 'table' AND f."table" = :name COLLATE NOCASE ORDER BY m.name, f.id, f.seq
""")
_INDEXES = sa.text("SELECT name FROM pragma_index_list(:name) WHERE NOT partial")
_PARTS = sa.text("SELECT name FROM pragma_index_info(:index) ORDER BY seqno")
_PRIMARY = sa.text("SELECT name FROM pragma_table_xinfo(:name) WHERE pk ORDER BY pk")
_UNIQUE = sa.text('SELECT name FROM pragma_index_list(:name) WHERE "unique" AND NOT partial ORDER BY seq DESC')
_FILE = sa.text("SELECT file FROM pragma_database_list WHERE name = 'main'")
# To make an index for one statement (AUTOMATIC), SQLite also reads the whole table.
_SCAN = re.compile(r"^(?:SCAN|SEARCH(?=.* USING AUTOMATIC )) (?P<table>.+?)(?: USING .*)?$")
_ENOUGH = 1_000_000


class SQLiteFacts:
    """Finds the facts in the schema and by EXPLAIN QUERY PLAN."""

    new_index = "CREATE INDEX …"
    tables_read = staticmethod(table_reads.tables_read)
    value_literal = staticmethod(table_reads.value_literal)

    def of(self, connection: sa.Connection, table: Table) -> TableFacts:
        """Return what depends on the table."""
        path = connection.execute(_FILE).scalar_one()
        return TableFacts(
            triggers=_guarding(connection, table),
            references=tuple(_references(connection, table.name)),
            nullable_keys=tuple(_nullable_keys(connection, table)),
            frees_space="VACUUM (rewrites the file)",
            log=LogCost("journal", 0, 0.0, 4096),
            free_bytes=_free_bytes(path) if path else None,
        )

    def guards(self, connection: sa.Connection, tables: Sequence[Table]) -> Mapping[TableName, TableFacts]:
        return {(table.schema, table.name): TableFacts(triggers=_guarding(connection, table)) for table in tables}

    def full_reads(
        self, connection: sa.Connection, statement: sa.Select[Any] | sa.Delete | sa.Update
    ) -> Sequence[FullRead]:
        """Return the table of every SCAN in the plan, except one that a LIMIT ends early."""
        rows = prefixed(connection, statement, "EXPLAIN QUERY PLAN").all()
        limited = isinstance(statement, sa.Select) and statement._limit_clause is not None
        limited = limited and not any("TEMP B-TREE FOR ORDER BY" in row.detail for row in rows)
        names = [m["table"] for row in rows if not (limited and row.parent == 0) and (m := _SCAN.match(row.detail))]
        return [FullRead(name, size) for name in names if (size := _size(connection, name)) is not None]

    def count_within(self, connection: sa.Connection, rows: sa.Select[Any], seconds: float) -> int | None:
        """Count, and let another thread interrupt that when the time is over."""
        driver = connection.connection.driver_connection
        assert driver is not None
        timer = Timer(seconds, driver.interrupt)
        timer.start()
        try:
            return count_rows(connection, rows.subquery())
        except DBAPIError as error:
            if classify(driver_error(error)) is not Fault.TIMED_OUT:
                raise
            return None
        finally:
            timer.cancel()
            timer.join()


def _guarding(connection: sa.Connection, table: Table) -> tuple[Trigger, ...]:
    return tuple(one for one in triggers(connection, table) if one.event != "INSERT")


def _references(connection: sa.Connection, name: str) -> Iterator[Reference]:
    """Yield the foreign keys that refer to the table, then those that refer to each child that cascades."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        parent = waiting.pop(0)
        if parent in seen:
            continue
        seen.add(parent)
        rows = connection.execute(_REFERENCES, {"name": parent}).all()
        for _, parts in groupby(rows, key=lambda r: (r.child, r.id)):
            yield (found := _reference(connection, list(parts), parent, direct=parent == name))
            if CASCADE in (found.on_delete, found.on_update):
                waiting.append(found.child.name)


def _reference(connection: sa.Connection, parts: Sequence[sa.Row[Any]], parent: str, *, direct: bool) -> Reference:
    first, columns = parts[0], tuple(part.col for part in parts)
    referred = [part.referred for part in parts]
    if None in referred:  # the key names no columns of the parent, so it means the primary key
        referred = list(connection.execute(_PRIMARY, {"name": parent}).scalars())
    return Reference(
        child=OtherTable(None, first.child),
        columns=columns,
        parent=OtherTable(None, parent),
        referred=tuple(referred),
        on_delete=RESTRICT if first.on_delete == "NO ACTION" else first.on_delete,
        on_update=RESTRICT if first.on_update == "NO ACTION" else first.on_update,
        indexed=_indexed(connection, first.child, columns),
        direct=direct,
    )


def _indexed(connection: sa.Connection, table: str, columns: tuple[str, ...]) -> bool:
    """Whether an index, or the primary key, begins with these columns in any order."""
    wanted = {column.lower() for column in columns}
    listed = [connection.execute(_PRIMARY, {"name": table}).scalars().all()]
    for index in connection.execute(_INDEXES, {"name": table}).scalars().all():
        listed.append(connection.execute(_PARTS, {"index": index}).scalars().all())
    return any({str(name).lower() for name in parts[: len(columns)]} == wanted for parts in listed)


def _nullable_keys(connection: sa.Connection, table: Table) -> Iterator[Key]:
    """Yield unique indexes on columns that may be NULL, including a primary key that allows NULLs."""
    usable = {key.columns for key in table.keys}
    primary = tuple(connection.execute(_PRIMARY, {"name": table.name}).scalars())
    for index in connection.execute(_UNIQUE, {"name": table.name}).scalars().all():
        parts = tuple(connection.execute(_PARTS, {"index": index}).scalars())
        if None not in parts and parts not in usable:
            yield Key(parts, primary=parts == primary)


def _size(connection: sa.Connection, name: str) -> int | None:
    """Return the table's number of rows, counted up to a bound; None if no table has the name that the plan shows."""
    known = sa.text("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = :name COLLATE NOCASE")
    if connection.execute(known, {"name": name}).first() is None:
        return None
    some = sa.select(sa.literal_column("1")).select_from(sa.table(quoted(name))).limit(_ENOUGH).subquery()
    return count_rows(connection, some)


def _free_bytes(path: str) -> int | None:
    try:
        return server_host.free_bytes(path)
    except RefusedError:
        return None
