"""Canonical lines back into a table: each value typed as it was, through a table that only the session has."""

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import Any, Literal, Protocol

import sqlalchemy as sa

from batchops.db.exact_columns import ExactColumn
from batchops.db.table import Table, quoted

OnConflict = Literal["fail", "skip", "replace"]


class RowLoading(Protocol):
    """How one database takes rows back."""

    family: str
    """Whose columns it takes back as they were."""

    def settle(self, connection: sa.Connection) -> None:
        """Fix how the session reads values; nothing is rounded, cut or made up in silence from then on."""

    def taken_as(self, archived: ExactColumn, target: ExactColumn) -> ExactColumn:
        """How the texts of a column's values are to be for `load`."""

    def load(
        self, connection: sa.Connection, into: sa.TableClause, columns: Sequence[ExactColumn], lines: Sequence[bytes]
    ) -> None:  # fmt: skip
        """Insert rows by their canonical lines. DBAPIError where one is refused."""

    def stage(self, connection: sa.Connection, table: Table, columns: Sequence[ExactColumn]) -> sa.TableClause:
        """An empty table of the session with these columns of `table`, without its keys, checks and triggers."""

    def lines(
        self, connection: sa.Connection, table: sa.FromClause, columns: Sequence[ExactColumn]
    ) -> Iterator[bytes]:  # fmt: skip
        """The canonical lines of the rows there; the transaction is settled."""

    def merge(
        self, connection: sa.Connection, staged: sa.TableClause, table: Table, columns: Sequence[ExactColumn],
        key: Sequence[str], on_conflict: OnConflict,
    ) -> tuple[int, int]:  # fmt: skip
        """As the function of this name."""

    def triggers(self, connection: sa.Connection, table: Table) -> Sequence[str]:
        """The triggers that an INSERT sets off, by name."""

    def type_for(self, column: ExactColumn, family: str, *, in_key: bool) -> str:
        """The type of a new column that takes the values of one of that family; empty where none does."""

    def advance_numbers(self, connection: sa.Connection, table: Table, columns: Sequence[ExactColumn]) -> None:
        """Let the database number new rows behind those that are there, where it does not do so by itself."""


def own_columns(table: sa.FromClause, columns: Sequence[ExactColumn]) -> list[sa.ColumnElement[Any]]:
    """The columns of a table, by name."""
    return [table.c[quoted(column.name)] for column in columns]


def staged_name(table: Table, columns: Sequence[ExactColumn]) -> str:
    """A name for the session's table: another for other columns, as a pooler may keep a session's tables."""
    shape = repr((table.identity, [(column.name, column.sql_type) for column in columns]))
    return f"batchops_restore_{sha256(shape.encode()).hexdigest()[:12]}"


def staged_clause(name: str, columns: Sequence[ExactColumn], schema: str | None = None) -> sa.TableClause:
    """The session's table in SQLAlchemy's terms."""
    own: list[sa.ColumnClause[object]] = [sa.column(quoted(column.name)) for column in columns]
    return sa.table(quoted(name), *own, schema=schema)


def keep_matching(connection: sa.Connection, staged: sa.TableClause, condition: sa.ColumnElement[bool]) -> None:
    """Leave the staged rows for which the condition holds."""
    connection.execute(sa.delete(staged).where(sa.not_(sa.func.coalesce(condition, sa.false()))))


def count_staged(connection: sa.Connection, staged: sa.TableClause) -> int:
    """How many rows are staged."""
    found: int = connection.execute(sa.select(sa.func.count()).select_from(staged)).scalar_one()
    return found


def merge(
    connection: sa.Connection, staged: sa.TableClause, table: Table, columns: Sequence[ExactColumn],
    key: Sequence[str], on_conflict: OnConflict, insert: Callable[[sa.TableClause], sa.Insert] = sa.insert,
) -> tuple[int, int]:  # fmt: skip
    """Put the staged rows into the table: how many are in it now, and how many were left as their keys were there."""
    names = [quoted(column.name) for column in columns]
    rows = sa.select(*own_columns(staged, columns))
    if on_conflict == "fail":
        return _inserted(connection, insert(table.clause).from_select(names, rows)), 0
    there = table.clause.alias(quoted("batchops_there"))
    same = sa.and_(*(there.c[quoted(name)] == staged.c[quoted(name)] for name in key))
    staged_rows = count_staged(connection, staged)
    others = [column for column in columns if column.name not in key]
    if on_conflict == "replace" and others:
        own = sa.and_(*(table.clause.c[quoted(name)] == staged.c[quoted(name)] for name in key))
        values = {table.clause.c[quoted(column.name)]: staged.c[quoted(column.name)] for column in others}
        connection.execute(sa.update(table.clause).values(values).where(own))
    absent = rows.where(~sa.exists(sa.select(sa.literal(1)).select_from(there).where(same)))
    inserted = _inserted(connection, insert(table.clause).from_select(names, absent))
    return (staged_rows, 0) if on_conflict == "replace" else (inserted, staged_rows - inserted)


def _inserted(connection: sa.Connection, insert: sa.Insert) -> int:
    """How many rows it inserted: SQLAlchemy forgets that unless it is asked to keep it."""
    return connection.execute(insert.execution_options(preserve_rowcount=True)).rowcount


def with_same_keys(
    table: Table, staged: sa.TableClause, key: Sequence[str], columns: Sequence[ExactColumn]
) -> sa.Select[Any]:  # fmt: skip
    """The rows of a table with the keys of staged ones.

    By a join: MariaDB evaluates an EXISTS within a derived table anew for each row of the table.
    """
    keys = sa.select(*(staged.c[quoted(name)] for name in key)).distinct().subquery(quoted("batchops_keys"))
    same = sa.and_(*(table.clause.c[quoted(name)] == keys.c[quoted(name)] for name in key))
    return sa.select(*own_columns(table.clause, columns)).select_from(table.clause.join(keys, same))


def keys_there(connection: sa.Connection, staged: sa.TableClause, table: Table, key: Sequence[str]) -> bool:
    """Whether the table has a row with the key of a staged one."""
    same = sa.and_(*(table.clause.c[quoted(name)] == staged.c[quoted(name)] for name in key))
    return connection.execute(sa.select(sa.literal(1)).select_from(staged).join(table.clause, same)).first() is not None
