"""Moves rows from one table of a database into another, in one transaction."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.db.row_lines import RowLines
from batchops.db.table import Table, quoted


@dataclass(frozen=True)
class Moved:
    """How many rows a move has inserted and deleted; the counts differ only if another session interfered."""

    inserted: int
    deleted: int


@dataclass(frozen=True)
class Look:
    """What a move depends on, as it is now."""

    columns: tuple[str, ...]
    """The columns of the table that the rows leave."""
    changes: str
    """What `RowMoves.changes` says of the table that they go into."""


class RowMoves(Protocol):
    """How one database moves rows."""

    one_statement: bool
    """Whether a move is one statement; otherwise the caller needs a savepoint to undo one move by itself."""
    limits: bool
    """Whether it can also move rows that only a LIMIT bounds."""

    def move(
        self, connection: sa.Connection, delete: sa.Delete, table: Table, into: Table, names: Sequence[str]
    ) -> Moved:  # fmt: skip
        """Insert the rows of the DELETE `into` the other table, with the columns `names`, and delete them."""

    def copy(self, connection: sa.Connection, rows: sa.Select[Any], into: Table, names: Sequence[str]) -> None:
        """Insert the rows of the SELECT, whose columns are `names`, into the table."""

    def changes(self, connection: sa.Connection, into: Table) -> str:
        """Return the trigger or rule by which the server may change or drop inserted rows; empty for none.

        Nobody can add one before the end of a transaction that has inserted rows.
        """

    def look(self, connection: sa.Connection, lines: RowLines, table: Table, into: Table) -> Look:
        """Return what the move of a batch depended on, after it. `lines` knows the columns of `table`."""


class TwoStatements(ABC):
    """A move by two statements: INSERT … SELECT, which locks the rows, then DELETE."""

    one_statement = False
    limits = False

    @abstractmethod
    def changes(self, connection: sa.Connection, into: Table) -> str:
        """Return the trigger or rule that `RowMoves.changes` asks for."""

    def look(self, connection: sa.Connection, lines: RowLines, table: Table, into: Table) -> Look:
        return Look(lines.column_names(connection, table), self.changes(connection, into))

    def copy(self, connection: sa.Connection, rows: sa.Select[Any], into: Table, names: Sequence[str]) -> None:
        with self.as_they_are(connection):
            connection.execute(sa.insert(into.clause).from_select([quoted(name) for name in names], rows))

    def as_they_are(self, connection: sa.Connection) -> AbstractContextManager[None]:  # noqa: ARG002
        """Make the server keep each inserted value exactly, or refuse the row, while the block runs."""
        return nullcontext()

    def move(
        self, connection: sa.Connection, delete: sa.Delete, table: Table, into: Table, names: Sequence[str]
    ) -> Moved:  # fmt: skip
        where = delete.whereclause
        rows: sa.Select[Any] = sa.select(*(table.called.c[quoted(name)] for name in names)).select_from(table.called)
        rows = (rows if where is None else rows.where(where)).with_for_update()
        insert = sa.insert(into.clause).from_select([quoted(name) for name in names], rows, include_defaults=False)
        with self.as_they_are(connection):
            inserted = connection.execute(insert).rowcount
        return Moved(inserted, connection.execute(delete).rowcount)
