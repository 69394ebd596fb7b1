"""Rows as lines from PostgreSQL: COPY (DELETE … RETURNING …) TO STDOUT, byte for byte as the server sends them."""

from collections.abc import Generator, Sequence
from typing import Any

import sqlalchemy as sa
from psycopg import Cursor
from psycopg.generators import copy_from

from batchops.db.row_lines import Line
from batchops.db.table import Column, Table, quoted

_COPIED = "batchops_copied"
_UTC = ("UTC", "Etc/UTC", "GMT", "Etc/GMT", "UCT", "Zulu", "Etc/UCT", "Etc/Universal", "Universal")


class PostgreSQLRowLines:
    """The sessions' own settings make the text exact; a moment is written in UTC whatever their zone is."""

    returns_deleted = True

    def delete(
        self, connection: sa.Connection, delete: sa.Delete, table: Table, columns: Sequence[Column]
    ) -> list[Line]:  # fmt: skip
        lines: list[Line] = []
        returning = ", ".join(_returned(connection, table, columns))
        connection.execute(delete, execution_options={_COPIED: (returning, lines)})
        return lines


def copy_rows(cursor: "Cursor[Any]", statement: str, parameters: Any, context: Any) -> bool | None:
    """For SQLAlchemy's `do_execute`: sends a statement whose rows are wanted as lines as a COPY."""
    asked = context.execution_options.get(_COPIED)
    if asked is None:
        return None
    returning, lines = asked
    # The driver itself writes the values in: COPY takes no parameters.
    with cursor.copy(f"COPY ({statement} RETURNING {returning}) TO STDOUT", parameters or None):
        cursor.connection.wait(_received(cursor, lines))
    return True


def _received(cursor: "Cursor[Any]", lines: list[Line]) -> Generator[Any, Any, None]:
    """All rows at one go: to wait for each by itself would cost more than to send it."""
    while True:
        received = yield from copy_from(cursor.connection.pgconn)
        if not isinstance(received, memoryview):
            return
        lines.append(received)


def _returned(connection: sa.Connection, table: Table, columns: Sequence[Column]) -> list[str]:
    quote = connection.dialect.identifier_preparer.quote_identifier
    name = quote(table.alias or table.name)
    utc = connection.exec_driver_sql("SHOW TimeZone").scalar_one() in _UTC if _zoned(columns) else True
    return [_text(f"{name}.{quote(quoted(column.name))}", utc=utc or not _zoned([column])) for column in columns]


def _zoned(columns: Sequence[Column]) -> bool:
    return any(column.stored.startswith("timestamp") and column.stored.endswith("with time zone") for column in columns)


def _text(name: str, *, utc: bool) -> str:
    """The condition keeps the session's own zone, so that it means what it says; years BC have their mark last."""
    if utc:
        return name
    moment = f"replace(({name} AT TIME ZONE 'UTC')::text || '+00', ' BC+00', '+00 BC')"
    return f"CASE WHEN isfinite({name}) THEN {moment} ELSE {name}::text END"
