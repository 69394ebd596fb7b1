"""Loads canonical lines into a table, each value typed as it was, by way of a temporary table."""

from collections.abc import Callable, Collection, Iterator, Sequence
from hashlib import sha256
from typing import Any, Literal, Protocol

import sqlalchemy as sa

from batchops.db.exact_columns import ExactColumn, ExactKind
from batchops.db.table import Table, count_rows, quoted

OnConflict = Literal["fail", "skip", "replace"]


class RowLoading(Protocol):
    """How one database loads archived rows."""

    family: str
    """The family of databases whose columns it restores exactly."""

    def settle(self, connection: sa.Connection) -> None:
        """Fix how the session reads values: from then on the server does not silently round, cut or replace any."""

    def taken_as(self, archived: ExactColumn, target: ExactColumn) -> ExactColumn:
        """Return the column as `load` needs it: with the kind that the texts of its values must have."""

    def load(
        self, connection: sa.Connection, into: sa.TableClause, columns: Sequence[ExactColumn], lines: Sequence[bytes]
    ) -> None:  # fmt: skip
        """Insert rows from their canonical lines; DBAPIError where the server refuses one."""

    def stage(self, connection: sa.Connection, table: Table, columns: Sequence[ExactColumn]) -> sa.TableClause:
        """Make an empty temporary table with these columns of `table`, without its keys, checks and triggers.

        Return it in SQLAlchemy's terms.
        """

    def lines(
        self, connection: sa.Connection, table: sa.FromClause, columns: Sequence[ExactColumn], *, streamed: bool = False
    ) -> Iterator[bytes]:  # fmt: skip
        """Yield the canonical lines of the table's rows; the caller has called `settle`.

        `streamed`: they may be more than fit into memory, and no other statement runs until the last one is read.
        """

    def merge(
        self, connection: sa.Connection, staged: sa.TableClause, table: Table, columns: Sequence[ExactColumn],
        key: Sequence[str], on_conflict: OnConflict,
    ) -> tuple[int, int]:  # fmt: skip
        """Put the staged rows into the table, as the function `merge` of this module does."""

    def triggers(self, connection: sa.Connection, table: Table) -> Sequence[str]:
        """Return the names of the triggers that an INSERT fires."""

    def unchangeable(self, connection: sa.Connection, table: Table) -> Sequence[str]:
        """Return the columns that an INSERT may set, and an UPDATE may not."""

    def type_for(self, column: ExactColumn, family: str, *, in_key: bool) -> str:
        """Return the type of a new column for the values of this column of that family; empty if there is none."""

    def equal_texts(
        self, connection: sa.Connection, table: Table, name: str, texts: Sequence[bytes]
    ) -> Sequence[bytes]:  # fmt: skip
        """Return for each text of a value of the column another one, which is the same for equal values.

        Equality is that of a foreign key which refers to the column: of its collation, its padding, its numbers.
        """

    def advance_numbers(self, connection: sa.Connection, table: Table, names: Collection[str]) -> None:
        """Set the numbering of new rows in these columns past the rows that exist, where it does not do so by itself.

        This reads the greatest number of each such column.
        """


def own_columns(table: sa.FromClause, columns: Sequence[ExactColumn]) -> list[sa.ColumnElement[Any]]:
    """Return these columns of the table, in SQLAlchemy's terms."""
    return [table.c[quoted(column.name)] for column in columns]


def staged_name(table: Table, columns: Sequence[ExactColumn]) -> str:
    """Return a name for the temporary table; it depends on the columns, as a pooler may keep a session's tables."""
    shape = repr((table.identity, [(column.name, column.sql_type) for column in columns]))
    return f"batchops_restore_{sha256(shape.encode()).hexdigest()[:12]}"


def staged_clause(name: str, columns: Sequence[ExactColumn], schema: str | None = None) -> sa.TableClause:
    """Return the temporary table in SQLAlchemy's terms."""
    own: list[sa.ColumnClause[object]] = [sa.column(quoted(column.name)) for column in columns]
    return sa.table(quoted(name), *own, schema=schema)


def keep_matching(connection: sa.Connection, staged: sa.TableClause, condition: sa.ColumnElement[bool]) -> None:
    """Delete the staged rows for which the condition does not hold."""
    connection.execute(sa.delete(staged).where(sa.not_(sa.func.coalesce(condition, sa.false()))))


def replaced(columns: Sequence[ExactColumn], key: Sequence[str]) -> list[ExactColumn]:
    """Return the columns that get archived values in a row with the same key.

    Texts of a key too: its collation may hold different ones for equal.
    """
    return [one for one in columns if one.name not in key or one.kind in (ExactKind.TEXT, ExactKind.TAGGED)]


def merge(
    connection: sa.Connection, staged: sa.TableClause, table: Table, columns: Sequence[ExactColumn],
    key: Sequence[str], on_conflict: OnConflict, insert: Callable[[sa.TableClause], sa.Insert] = sa.insert,
) -> tuple[int, int]:  # fmt: skip
    """Put the staged rows into the table.

    Return how many of them are in it now, and how many were skipped because the table had a row with their key.
    """
    names = [quoted(column.name) for column in columns]
    rows = sa.select(*own_columns(staged, columns))
    if on_conflict == "fail":
        return _inserted(connection, insert(table.clause).from_select(names, rows)), 0
    there = table.clause.alias(quoted("batchops_there"))
    same = sa.and_(*(there.c[quoted(name)] == staged.c[quoted(name)] for name in key))
    staged_rows = count_rows(connection, staged)
    others = replaced(columns, key)
    if on_conflict == "replace" and others:
        own = sa.and_(*(table.clause.c[quoted(name)] == staged.c[quoted(name)] for name in key))
        values = {table.clause.c[quoted(column.name)]: staged.c[quoted(column.name)] for column in others}
        connection.execute(sa.update(table.clause).values(values).where(own))
    absent = rows.where(~sa.exists(sa.select(sa.literal(1)).select_from(there).where(same)))
    inserted = _inserted(connection, insert(table.clause).from_select(names, absent))
    return (staged_rows, 0) if on_conflict == "replace" else (inserted, staged_rows - inserted)


def _inserted(connection: sa.Connection, insert: sa.Insert) -> int:
    """Run the INSERT and return how many rows it inserted, a number that SQLAlchemy keeps only if asked to."""
    return connection.execute(insert.execution_options(preserve_rowcount=True)).rowcount


def with_same_keys(
    table: Table, staged: sa.TableClause, key: Sequence[str], columns: Sequence[ExactColumn]
) -> sa.Select[Any]:  # fmt: skip
    """Return a SELECT of the table's rows that have the key of a staged row.

    It uses a join: MariaDB evaluates an EXISTS within a derived table anew for each row of the table.
    """
    keys = sa.select(*(staged.c[quoted(name)] for name in key)).distinct().subquery(quoted("batchops_keys"))
    same = sa.and_(*(table.clause.c[quoted(name)] == keys.c[quoted(name)] for name in key))
    return sa.select(*own_columns(table.clause, columns)).select_from(table.clause.join(keys, same))


def keys_there(connection: sa.Connection, staged: sa.TableClause, table: Table, key: Sequence[str]) -> bool:
    """Whether the table has a row with the key of a staged one."""
    same = sa.and_(*(table.clause.c[quoted(name)] == staged.c[quoted(name)] for name in key))
    return connection.execute(sa.select(sa.literal(1)).select_from(staged).join(table.clause, same)).first() is not None
