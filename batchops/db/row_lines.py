"""Rows as canonical lines: the rows that a statement deletes or reads, as exact text."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from operator import itemgetter
from sys import getsizeof
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.db.exact_columns import ExactColumn, ExactKind
from batchops.db.exact_text import InexactValue, block_at_once, block_of, line_maker, lines_in
from batchops.db.table import Table
from batchops.errors import RowRefusedError

BLOCK_BYTES, BLOCK_ROWS = 1 << 20, 10_000
"""Limits of the rows that are in memory at once; a single row may have more bytes."""
_FETCHED = 16
"""The most rows that are fetched before their size is checked."""
_WIDE = frozenset((ExactKind.TEXT, ExactKind.BYTES, ExactKind.TAGGED))
"""Kinds whose values may have any size."""

Take = Callable[[bytes], None]
"""Takes a block of the next canonical lines."""


@dataclass(frozen=True, slots=True)
class ReadRow:
    """A row that was read and stays in its table."""

    values: tuple[Any, ...]
    """The values that were selected beside the table's columns; on PostgreSQL as text."""
    line: bytes
    """Its canonical line."""
    reason: str = ""
    """Why the row has no canonical line; empty where it has one."""


class RowLines(Protocol):
    """How one database returns rows as canonical lines."""

    returns_deleted: bool
    """Whether a DELETE itself returns its rows; otherwise they are locked and read before it."""

    def delete(
        self, connection: sa.Connection, delete: sa.Delete, table: Table, columns: Sequence[ExactColumn], take: Take
    ) -> int:  # fmt: skip
        """Run the DELETE, give the canonical lines of its rows to `take`, block by block, and return their number.

        RowRefusedError where a row has a value without an exact text. It is raised after the last row, and so is
        what `take` raises; after either, `take` gets no further block.
        """

    def read(
        self, connection: sa.Connection, select: sa.Select[Any], table: Table, columns: Sequence[ExactColumn],
        take: Take,
    ) -> int:  # fmt: skip
        """Run the SELECT and give the canonical lines of its rows to `take`, as `delete` does; return their number."""

    def rows(
        self, connection: sa.Connection, rows: sa.Select[Any], table: Table, columns: Sequence[ExactColumn]
    ) -> list[ReadRow]:  # fmt: skip
        """Return the rows of `table` that `rows` selects as they are now, each with the values that `rows` selects."""

    def column_names(self, connection: sa.Connection, table: Table) -> tuple[str, ...]:
        """Return the columns that the table has now.

        Nobody can add one before the end of a transaction that has changed rows of the table.
        """

    def weaker_commits(self, connection: sa.Connection) -> str:
        """Return the server setting that lets a crash of the machine undo a COMMIT, in words; empty for none."""

    def obstacle(self, connection: sa.Connection, table: Table, columns: Sequence[ExactColumn]) -> str:
        """Return why rows of this table cannot be archived completely, in words; empty where they can."""


def take_lines(
    lines: RowLines, connection: sa.Connection, statement: sa.Delete | sa.Update | sa.Select[Any], table: Table,
    columns: Sequence[ExactColumn], take: Take,
) -> int:  # fmt: skip
    """Give the canonical lines of the rows that the statement deletes or reads to `take`; return their number."""
    assert not isinstance(statement, sa.Update)  # changed rows are not archived
    if isinstance(statement, sa.Delete):
        return lines.delete(connection, statement, table, columns, take)
    return lines.read(connection, statement, table, columns, take)


def lines_of(
    lines: RowLines, connection: sa.Connection, statement: sa.Delete | sa.Update | sa.Select[Any], table: Table,
    columns: Sequence[ExactColumn],
) -> list[bytes]:  # fmt: skip
    """Return the canonical lines of the rows that the statement deletes or reads, all at once."""
    found = list[bytes]()
    take_lines(lines, connection, statement, table, columns, lambda block: found.extend(lines_in(block)))
    return found


class Taker:
    """Gives blocks of lines to `take` until it fails; the server's answer is read to its end all the same."""

    def __init__(self, take: Take) -> None:
        self._take = take
        self._count = 0
        self._error: Exception | None = None

    def __call__(self, make: Callable[[], bytes]) -> None:
        """Make the next block and give it to `take`, unless an earlier one has failed."""
        if self._error is not None:
            return
        try:
            block = make()
            self._take(block)
            self._count += block.count(b"\n")
        except Exception as error:  # noqa: BLE001  `finished` raises it
            self._error = error

    def finished(self) -> int:
        """Return how many lines were taken; raise the error where a block has failed."""
        if self._error is not None:
            raise self._error
        return self._count


def take_rows(result: sa.CursorResult[Any], columns: Sequence[ExactColumn], take: Take) -> int:
    """Give the canonical lines of a result to `take`, for databases whose rows come as the driver's values.

    Return their number, as `RowLines.delete` and `RowLines.read` do.
    """
    taker = Taker(take)
    with closing(result):
        for rows in _blocks(result, columns):
            taker(lambda rows=rows: exact_block(columns, rows))  # type: ignore[misc]  # mypy knows no such default
    return taker.finished()


def _blocks(result: sa.CursorResult[Any], columns: Sequence[ExactColumn]) -> Iterator[list[Any]]:
    """Yield the rows of the result in blocks of bounded size."""
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
    """Return what `RowLines.rows` returns, from rows of the driver's values with those of `columns` last."""
    line, width = line_maker(columns), len(columns)
    rows = []
    for row in found:
        values = tuple(row[: len(row) - width])
        try:
            rows.append(ReadRow(values, line(row[len(row) - width :])))
        except InexactValue as error:
            rows.append(ReadRow(values, b"", str(error)))
    return rows


def exact_block(columns: Sequence[ExactColumn], rows: Sequence[Any]) -> bytes:
    """Return the canonical lines of rows of the driver's values; RowRefusedError for a value without an exact text."""
    if (block := block_at_once(columns, rows)) is not None:
        return block
    line = line_maker(columns)
    try:
        return block_of([line(row) for row in rows])
    except InexactValue as error:
        raise RowRefusedError(str(error)) from error
