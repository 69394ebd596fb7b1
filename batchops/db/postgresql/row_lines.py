"""Rows as lines from PostgreSQL: COPY (DELETE … RETURNING …) TO STDOUT, byte for byte as the server sends them."""

from collections.abc import Generator, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa
from psycopg import Cursor
from psycopg.errors import error_from_result
from psycopg.generators import fetch_many
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn
from psycopg.waiting import Wait

from batchops.db.exact_columns import ExactColumn, ExactKind
from batchops.db.exact_text import lines_in, unescape
from batchops.db.row_lines import BLOCK_BYTES, ReadRow, Take, Taker
from batchops.db.table import Table

_COPIED = "batchops_copied"
_UTC = frozenset(("UTC", "Etc/UTC", "GMT", "Etc/GMT", "UCT", "Etc/UCT", "Universal", "Etc/Universal", "Zulu"))
_ZONE = "batchops_zone"
_NAMES = sa.text(
    "SELECT attname FROM pg_catalog.pg_attribute WHERE attrelid = CAST(:oid AS oid) AND attnum > 0 "
    "AND NOT attisdropped ORDER BY attnum"
)
_HEIRS = sa.text(
    "SELECT count(*) FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class p ON p.oid = i.inhparent "
    "WHERE p.oid = CAST(:oid AS oid) AND p.relkind = 'r'"
)


class PostgreSQLRowLines:
    """Uses COPY. The session's settings make the text exact, and moments are written in UTC, whatever its zone is."""

    returns_deleted = True

    def delete(
        self, connection: sa.Connection, delete: sa.Delete, table: Table, columns: Sequence[ExactColumn], take: Take
    ) -> int:  # fmt: skip
        returning = " RETURNING " + ", ".join(_returned_columns(connection, table, columns))
        return _copy_out(connection, delete, returning, take)

    def read(
        self, connection: sa.Connection, select: sa.Select[Any], table: Table, columns: Sequence[ExactColumn],
        take: Take,
    ) -> int:  # fmt: skip
        own = _selected(connection, table, columns)
        return _copy_out(connection, select.with_only_columns(*own, maintain_column_froms=True), "", take)

    def rows(
        self, connection: sa.Connection, rows: sa.Select[Any], table: Table, columns: Sequence[ExactColumn]
    ) -> list[ReadRow]:  # fmt: skip
        width, found = len(rows.selected_columns), list[ReadRow]()

        def take(block: bytes) -> None:
            for line in lines_in(block):
                *values, rest = line.split(b"\t", width)
                texts = (None if (text := unescape(value)) is None else text.decode() for value in values)
                found.append(ReadRow(tuple(texts), rest))

        _copy_out(connection, rows.add_columns(*_selected(connection, table, columns)), "", take)
        return found

    def column_names(self, connection: sa.Connection, table: Table) -> tuple[str, ...]:
        return tuple(connection.execute(_NAMES, {"oid": table.identity}).scalars())

    def weaker_commits(self, connection: sa.Connection) -> str:
        """Return fsync if it is off; synchronous_commit does not matter, as batchops sets it for its own COMMITs."""
        off = connection.exec_driver_sql("SHOW fsync").scalar_one() == "off"
        return "fsync = off" if off else ""

    def obstacle(self, connection: sa.Connection, table: Table, columns: Sequence[ExactColumn]) -> str:
        if not table.only and connection.execute(_HEIRS, {"oid": table.identity}).scalar_one():
            return "tables inherit it, and their own columns would be lost; archive each of them by itself"
        nested = [one.name for one in columns if one.kind is ExactKind.TEXT and _zoned(one.sql_type)]
        if nested and not _in_utc(connection):
            return f"{', '.join(nested)} holds times as text in the session's zone; set TimeZone to UTC for this role"
        return ""


def _copy_out(connection: sa.Connection, statement: sa.Delete | sa.Select[Any], returning: str, take: Take) -> int:
    taker = Taker(take)
    connection.execute(statement, execution_options={_COPIED: (returning, taker)})
    return taker.finished()


def _zoned(type: str) -> bool:
    return "with time zone" in type or "tstz" in type


def copy_rows(cursor: "Cursor[Any]", statement: str, parameters: Any, context: Any) -> bool | None:
    """Send a statement whose rows are wanted as lines as a COPY; return None, and do nothing, for any other.

    A listener for SQLAlchemy's `do_execute`.
    """
    asked = context.execution_options.get(_COPIED)
    if asked is None:
        return None
    returning, taker = asked
    # COPY takes no parameters: the driver writes the values into its text.
    with cursor.copy(f"COPY ({statement}{returning}) TO STDOUT", parameters):
        cursor.connection.wait(_receive(cursor.connection.pgconn, taker))
    return True


def _receive(server: PGconn, taker: Taker) -> Generator[Any, Any, None]:
    """Receive all rows that have arrived at once: psycopg's own `copy_from` takes longer for a row than the server."""
    rows, size = list[memoryview](), 0
    while True:
        length, row = server.get_copy_data(1)
        if length > 0:
            rows.append(row)
            size += length
            if size >= BLOCK_BYTES:
                taker(partial(b"".join, rows))
                rows, size = [], 0
        elif length == 0:
            while not (yield Wait.R):
                pass
            server.consume_input()
        else:
            break
    if rows:
        taker(partial(b"".join, rows))
    for result in (yield from fetch_many(server)):
        if result.status != ExecStatus.COMMAND_OK:
            raise error_from_result(result, encoding="utf-8")


def _selected(connection: sa.Connection, table: Table, columns: Sequence[ExactColumn]) -> list[sa.ColumnElement[Any]]:
    """Return `_returned_columns` for a SELECT: in literal text SQLAlchemy doubles percent signs by itself."""
    return [sa.literal_column(text.replace("%%", "%")) for text in _returned_columns(connection, table, columns)]


def _returned_columns(connection: sa.Connection, table: Table, columns: Sequence[ExactColumn]) -> list[str]:
    quote = connection.dialect.identifier_preparer.quote_identifier
    instants = any(column.kind is ExactKind.INSTANT for column in columns)
    utc = not instants or _in_utc(connection)
    own = quote(table.alias or table.name)
    return [_text(f"{own}.{quote(column.name)}", utc=utc or column.kind is not ExactKind.INSTANT) for column in columns]


def _in_utc(connection: sa.Connection) -> bool:
    """Whether the session's zone is UTC; each connection is asked once."""
    if _ZONE not in connection.info:
        connection.info[_ZONE] = connection.exec_driver_sql("SHOW TimeZone").scalar_one()
    return connection.info[_ZONE] in _UTC


def _text(name: str, *, utc: bool) -> str:
    """Return SQL for the value's text, where moments are converted to UTC unless `utc`.

    The session's zone is not changed, as the user's condition depends on it. For years BC, "BC" comes after the zone.
    """
    if utc:
        return name
    moment = f"replace(({name} AT TIME ZONE 'UTC')::text || '+00', ' BC+00', '+00 BC')"
    return f"CASE WHEN isfinite({name}) THEN {moment} ELSE {name}::text END"
