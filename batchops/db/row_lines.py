"""Rows as canonical lines: what a statement deletes leaves the database as its own exact text."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from operator import itemgetter
from sys import getsizeof
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.db.exact_columns import ExactColumn, ExactKind
from batchops.db.exact_text import InexactValue, line_maker, lines_at_once
from batchops.db.table import Table
from batchops.errors import RowRefusedError

BLOCK_BYTES, BLOCK_ROWS = 1 << 20, 10_000
"""Of the rows that are in memory at once, as far as one row of many bytes allows."""
_FETCHED = 16
"""Most rows that are fetched before their size is looked at."""
_WIDE = frozenset((ExactKind.TEXT, ExactKind.BYTES, ExactKind.TAGGED))
"""Kinds whose values may be of any size."""

Take = Callable[[list[bytes]], None]
"""Takes the next canonical lines."""


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
        self, connection: sa.Connection, delete: sa.Delete, table: Table, columns: Sequence[ExactColumn], take: Take
    ) -> int:  # fmt: skip
        """Run the DELETE; how many rows it has deleted. `take` gets their canonical lines, block by block.

        RowRefusedError where one of them has a value that has no exact text. It is raised after the last row, as is
        what `take` raises; `take` gets no block behind that one.
        """

    def read(
        self, connection: sa.Connection, select: sa.Select[Any], table: Table, columns: Sequence[ExactColumn],
        take: Take,
    ) -> int:  # fmt: skip
        """The same for rows that the SELECT gives."""

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


def take_lines(
    lines: RowLines, connection: sa.Connection, statement: sa.Delete | sa.Update | sa.Select[Any], table: Table,
    columns: Sequence[ExactColumn], take: Take,
) -> int:  # fmt: skip
    """Give the canonical lines of the rows that the statement deletes, or reads, to `take`; how many they are."""
    assert not isinstance(statement, sa.Update)  # rows that are changed go nowhere
    if isinstance(statement, sa.Delete):
        return lines.delete(connection, statement, table, columns, take)
    return lines.read(connection, statement, table, columns, take)


def lines_of(
    lines: RowLines, connection: sa.Connection, statement: sa.Delete | sa.Update | sa.Select[Any], table: Table,
    columns: Sequence[ExactColumn],
) -> list[bytes]:  # fmt: skip
    """All of these lines at once."""
    found = list[bytes]()
    take_lines(lines, connection, statement, table, columns, found.extend)
    return found


class Taker:
    """Gives blocks to `take` until it fails; a server is heard to its end all the same."""

    def __init__(self, take: Take) -> None:
        self._take = take
        self._count = 0
        self._error: Exception | None = None

    def __call__(self, block: Callable[[], list[bytes]]) -> None:
        """The next block, unless an earlier one has failed."""
        if self._error is not None:
            return
        try:
            lines = block()
            self._take(lines)
            self._count += len(lines)
        except Exception as error:  # noqa: BLE001  it is raised later
            self._error = error

    def finished(self) -> int:
        """How many lines there were; the error where there was one."""
        if self._error is not None:
            raise self._error
        return self._count


def take_rows(result: sa.CursorResult[Any], columns: Sequence[ExactColumn], take: Take) -> int:
    """For `RowLines.delete` and `RowLines.read` where rows come as the driver's values."""
    taker = Taker(take)
    with closing(result):
        for rows in _blocks(result, columns):
            taker(lambda rows=rows: exact_lines(columns, rows))  # type: ignore[misc]  # mypy knows no such default
    return taker.finished()


def _blocks(result: sa.CursorResult[Any], columns: Sequence[ExactColumn]) -> Iterator[list[Any]]:
    """Rows as they are fetched, of bounded size together."""
    wide = [itemgetter(place) for place, column in enumerate(columns) if column.kind in _WIDE]
    rows, size, most = list[Any](), 0, 1
    while part := result.fetchmany(most):
        rows += part
        weight = sum(sum(map(getsizeof, map(value, part))) for value in wide)
        size += weight
        most = max(1, min(2 * most, _FETCHED, BLOCK_BYTES * len(part) // max(1, weight)))
        if size >= BLOCK_BYTES or len(rows) >= BLOCK_ROWS:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


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
