"""Rows from one table of a database into another, and out of the first, in one transaction."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.db.table import Table, quoted


@dataclass(frozen=True)
class Moved:
    """What a move has done; the two counts are the same unless somebody interfered."""

    inserted: int
    deleted: int


class RowMoves(Protocol):
    """How one database moves rows."""

    one_statement: bool
    """Whether a move is one statement: else what is undone alone has to be marked by a savepoint."""
    limits: bool
    """Whether it also moves rows that only a LIMIT bounds."""

    def move(
        self, connection: sa.Connection, delete: sa.Delete, table: Table, into: Table, names: Sequence[str]
    ) -> Moved:  # fmt: skip
        """Put the rows of the DELETE `into` the other table, with the columns of these names, and delete them."""

    def copy(self, connection: sa.Connection, rows: sa.Select[Any], into: Table, names: Sequence[str]) -> None:
        """Insert the rows of the SELECT, which has the columns of these names."""

    def changes(self, connection: sa.Connection, into: Table) -> str:
        """What the server runs for rows that are inserted, and may change or drop them; empty for nothing.

        Nobody adds one before the transaction ends that has inserted rows.
        """


class TwoStatements:
    """INSERT … SELECT of rows that are locked by it, then DELETE."""

    one_statement = False
    limits = False

    def copy(self, connection: sa.Connection, rows: sa.Select[Any], into: Table, names: Sequence[str]) -> None:
        with self.as_they_are(connection):
            connection.execute(sa.insert(into.clause).from_select([quoted(name) for name in names], rows))

    def as_they_are(self, connection: sa.Connection) -> AbstractContextManager[None]:  # noqa: ARG002
        """Whatever is inserted meanwhile keeps its values, or is refused."""
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
