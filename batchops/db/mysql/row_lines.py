"""Rows as lines from MariaDB and MySQL: by DELETE … RETURNING if possible, else rows are locked, read and deleted."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from batchops.db.exact_columns import ExactColumn
from batchops.db.mysql.exact_columns import MySQLExactColumns
from batchops.db.mysql.keys import BY_INDEX
from batchops.db.row_lines import ReadRow, Take, read_rows, take_rows
from batchops.db.table import Table, quoted
from batchops.errors import TransientError

_COLUMNS = sa.text(
    "SELECT column_name FROM information_schema.columns WHERE table_schema = coalesce(:schema, database()) "
    "AND table_name = :name ORDER BY ordinal_position"
)
_ZONE = "batchops_zone"
_UTC = ("+00:00", "UTC")


class MySQLRowLines:
    """Locks and reads rows before it deletes them, as MySQL has no RETURNING."""

    returns_deleted = False
    reading: Mapping[str, bool] = MappingProxyType({})
    """The execution options for reading an answer: whole, as the client can end a long statement only before its first
    row."""

    def delete(
        self, connection: sa.Connection, delete: sa.Delete, table: Table, columns: Sequence[ExactColumn], take: Take
    ) -> int:  # fmt: skip
        selected = _selected(connection, table, columns)
        by_index = bool(delete._prefixes)  # a DELETE with the hint of `keys.by_index` names its table twice
        if self.returns_deleted and not by_index and not _joined(delete):
            returning = delete.returning(*selected)
            return take_rows(connection.execute(returning, execution_options=self.reading), columns, take)
        where = delete.whereclause
        rows: sa.Select[Any] = sa.select(*selected).select_from(table.called)
        rows = rows if where is None else rows.where(where)
        rows = rows.with_hint(table.called, BY_INDEX) if by_index else rows
        found = connection.execute(rows.with_for_update(), execution_options=self.reading)
        read = take_rows(found, columns, take)
        if (gone := connection.execute(delete).rowcount) != read:
            # At READ COMMITTED a row may enter the range after it was read; only the rows that were read are locked.
            raise TransientError(f"{gone} rows were deleted where {read} had been read.")
        return read

    def read(
        self, connection: sa.Connection, select: sa.Select[Any], table: Table, columns: Sequence[ExactColumn],
        take: Take,
    ) -> int:  # fmt: skip
        rows = select.with_only_columns(*_selected(connection, table, columns), maintain_column_froms=True)
        return take_rows(connection.execute(rows, execution_options=self.reading), columns, take)

    def rows(
        self, connection: sa.Connection, rows: sa.Select[Any], table: Table, columns: Sequence[ExactColumn]
    ) -> list[ReadRow]:  # fmt: skip
        found = connection.execute(rows.add_columns(*_selected(connection, table, columns)))
        return read_rows(found, columns)

    def column_names(self, connection: sa.Connection, table: Table) -> tuple[str, ...]:
        return tuple(connection.execute(_COLUMNS, {"schema": table.schema, "name": table.name}).scalars())

    def weaker_commits(self, connection: sa.Connection) -> str:
        value = connection.exec_driver_sql("SELECT @@innodb_flush_log_at_trx_commit").scalar_one()
        return "" if int(value) == 1 else f"innodb_flush_log_at_trx_commit = {value}"

    def obstacle(self, connection: sa.Connection, table: Table, columns: Sequence[ExactColumn]) -> str:  # noqa: ARG002
        return ""


class MariaDBRowLines(MySQLRowLines):
    """Uses DELETE … RETURNING, unless the DELETE joins or has a hint; the server itself ends long statements."""

    returns_deleted = True
    reading = MappingProxyType({"stream_results": True})


def _joined(delete: sa.Delete) -> bool:
    where = delete.whereclause
    return where is not None and len(sa.select(sa.literal_column("1")).where(where).get_final_froms()) > 1


def _selected(
    connection: sa.Connection, table: Table, columns: Sequence[ExactColumn]
) -> list[sa.ColumnElement[Any]]:  # fmt: skip
    """Return what to select; a TIMESTAMP is converted to UTC.

    The session's zone is not changed, as the user's condition depends on it.
    """
    found = [*MySQLExactColumns().selected(table, columns)]
    zoned = [place for place, column in enumerate(columns) if column.sql_type.lower().startswith("timestamp")]
    if zoned and not _in_utc(connection):
        quote = connection.dialect.identifier_preparer.quote_identifier
        for place in zoned:
            found[place] = _in_other_zone(quote(columns[place].name), columns[place])
    return found


def _in_other_zone(name: str, column: ExactColumn) -> sa.ColumnElement[Any]:
    """Return SQL for a TIMESTAMP in UTC, computed from its number of seconds since 1970.

    Its text in the session's zone is not enough: one hour of the year occurs twice, and has one text for two moments.
    """
    digits = column.sql_type.partition("(")[2].partition(")")[0] or "0"
    moment = f"CAST(TIMESTAMP'1970-01-01 00:00:00' + INTERVAL UNIX_TIMESTAMP({name}) SECOND AS DATETIME({digits}))"
    zero = f"UNIX_TIMESTAMP({name}) = 0"
    text: sa.ColumnElement[Any] = sa.literal_column(
        f"CASE WHEN {name} IS NULL THEN NULL WHEN {zero} THEN CAST({name} AS CHAR) ELSE CAST({moment} AS CHAR) END"
    )
    return text.label(quoted(column.name))


def _in_utc(connection: sa.Connection) -> bool:
    """Whether the session's zone is UTC; each connection is asked once."""
    if _ZONE not in connection.info:
        zone, system = connection.exec_driver_sql("SELECT @@session.time_zone, @@system_time_zone").one()
        connection.info[_ZONE] = system if zone == "SYSTEM" else zone
    return connection.info[_ZONE] in _UTC
