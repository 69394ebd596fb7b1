"""Rows as canonical lines: what a statement deletes leaves the database as its own exact text."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.db.exact_columns import ExactColumn
from batchops.db.exact_text import InexactValue, line_maker, lines_at_once
from batchops.db.table import Table
from batchops.errors import RowRefusedError


@dataclass(frozen=True, slots=True)
class ReadRow:
    """A row that stays where it is."""

    values: tuple[Any, ...]
    """What was selected beside its columns; on PostgreSQL as text."""
    line: bytes
    """Its canonical line."""
    reason: str = ""
    """Why it has none."""


class RowLines(Protocol):
    """How one database gives rows out."""

    returns_deleted: bool
    """Whether a DELETE itself gives its rows; else they are locked and read before it."""

    def delete(
        self, connection: sa.Connection, delete: sa.Delete, table: Table, columns: Sequence[ExactColumn]
    ) -> list[bytes]:  # fmt: skip
        """Run the DELETE; the canonical lines of the rows that it has deleted, with the values of `columns`.

        RowRefusedError where one of them has a value that has no exact text.
        """

    def read(
        self, connection: sa.Connection, select: sa.Select[Any], table: Table, columns: Sequence[ExactColumn]
    ) -> list[bytes]:  # fmt: skip
        """The canonical lines of the rows that the SELECT would give, with the values of `columns`; the same error."""

    def rows(
        self, connection: sa.Connection, rows: sa.Select[Any], table: Table, columns: Sequence[ExactColumn]
    ) -> list[ReadRow]:  # fmt: skip
        """Rows of `table` as they are now, each with what `rows` itself selects."""

    def column_names(self, connection: sa.Connection, table: Table) -> tuple[str, ...]:
        """The columns that the table has now; nobody adds one before the transaction ends that has changed rows."""

    def weaker_commits(self, connection: sa.Connection) -> str:
        """Which setting of the server lets a fall of the machine undo a COMMIT, in words; empty for none."""

    def obstacle(self, connection: sa.Connection, table: Table, columns: Sequence[ExactColumn]) -> str:
        """Why rows of this table cannot leave it whole, in words; empty where they can."""


def lines_of(
    lines: RowLines, connection: sa.Connection, statement: sa.Delete | sa.Update | sa.Select[Any], table: Table,
    columns: Sequence[ExactColumn],
) -> list[bytes]:  # fmt: skip
    """The canonical lines of the rows that the statement deletes, or reads."""
    assert not isinstance(statement, sa.Update)  # rows that are changed go nowhere
    if isinstance(statement, sa.Delete):
        return lines.delete(connection, statement, table, columns)
    return lines.read(connection, statement, table, columns)


def read_rows(found: Iterable[Any], columns: Sequence[ExactColumn]) -> list[ReadRow]:
    """For `RowLines.rows` where rows come as the driver's values, those of `columns` last."""
    line, width = line_maker(columns), len(columns)
    rows = []
    for row in found:
        values = tuple(row[: len(row) - width])
        try:
            rows.append(ReadRow(values, line(row[len(row) - width :])))
        except InexactValue as error:
            rows.append(ReadRow(values, b"", str(error)))
    return rows


def exact_lines(columns: Sequence[ExactColumn], rows: Sequence[Any]) -> list[bytes]:
    """The canonical lines of rows as a driver gives them; RowRefusedError for a value that is none of its column's."""
    if (lines := lines_at_once(columns, rows)) is not None:
        return lines
    line = line_maker(columns)
    try:
        return [line(row) for row in rows]
    except InexactValue as error:
        raise RowRefusedError(str(error)) from error
