"""How several workers claim rows, so that none is claimed twice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import sqlalchemy as sa

from batchops.db.table import Column, Table
from batchops.db.types import KeyValue

Nulls = Literal["first", "last"] | None
"""Where rows without a value stand; None: where the database puts them."""


@dataclass(frozen=True)
class OrderBy:
    """A column by which rows are put in order."""

    column: str
    down: bool = False
    nulls: Nulls = None


@dataclass(frozen=True)
class RowBytes:
    """How much some columns of a row bring into memory."""

    of_row: sa.ColumnElement[int]
    """Bytes, by what the server can tell without reading what is large; about right for what is small."""
    most: int | None
    """What no row exceeds, by the types of the columns; None where nothing bounds them."""


class ClaimQueries(Protocol):
    """What one database can do for workers that share a table."""

    types: Mapping[str, str]
    """The spelling of the types that lease columns have: text, long text, number, count."""

    def refusal(self, connection: sa.Connection, table: Table) -> str | None:
        """Why this server cannot keep workers apart on this table; None where it can."""

    def now(self) -> sa.ColumnElement[float]:
        """The server's clock in seconds since 1970, one reading for a whole statement."""

    def since(self, table: Table, names: Sequence[str], key: KeyValue) -> sa.ColumnElement[bool]:
        """Rows from `key` on in the order of `names`."""

    def free(self, select: sa.Select[Any]) -> sa.Select[Any]:
        """The rows of `select`, locked, without those that others have locked."""

    def ordered(self, table: Table, by: OrderBy) -> Sequence[sa.ColumnElement[Any]]:
        """What follows ORDER BY for it."""

    def claim(
        self,
        connection: sa.Connection,
        table: Table,
        names: Sequence[str],
        candidates: sa.Select[Any],
        values: Mapping[str, Any],
        columns: Sequence[sa.ColumnElement[Any]],
    ) -> Sequence[Sequence[Any]]:
        """Lock the free candidates, set `values` in them, and give their keys and `columns` as they are then.

        Never more than the candidates' own limit, and in the candidates' order.
        """

    def change(
        self, connection: sa.Connection, table: Table, names: Sequence[str], statement: sa.Update | sa.Delete
    ) -> Sequence[KeyValue]:
        """Execute it, and give the keys of the rows it changed."""

    def row_name(self, table: Table, names: Sequence[str]) -> sa.ColumnElement[str]:
        """A row's key as one text of at most 500 characters: another for each key, the same in every session."""

    def key_from_text(self, column: Column, text: str) -> Any:
        """The key's value that a person means by `text`; binary ones are written in hexadecimal digits."""

    def row_bytes(self, table: Table, names: Sequence[str]) -> RowBytes:
        """How much these columns of a row bring."""

    def serves(self, column: Column, kind: str, width: int) -> bool:
        """Whether the column can hold a lease's text of so many characters, its number, or its count."""

    def most(self, column: Column) -> int:
        """The greatest count that the column can hold."""

    def is_own(self, column: Column, kind: str) -> bool:
        """Whether it has the type that is made for that kind."""

    def check_at_once(self, connection: sa.Connection) -> None:
        """From now on check with each statement what else COMMIT would, where that can be had."""

    def kept(self, table: Table, name: str) -> sa.ColumnElement[Any]:
        """The column's value in a form that `restored` turns back into it, equal only for equal values."""

    def restored(self, column: Column, kept: Any) -> sa.ColumnElement[Any]:
        """What to set the column to, so that it has that value again."""

    def age(self, column: Column, value: sa.ColumnElement[Any]) -> sa.ColumnElement[float] | None:
        """Seconds that a moment of that column lies back; None for a column without moments."""


def as_then(columns: Sequence[sa.ColumnElement[Any]], values: Mapping[str, Any]) -> list[sa.ColumnElement[Any]]:
    """What the columns will be once `values` are set."""
    found = [values.get(str(getattr(column, "name", "")), column) for column in columns]
    return [value if isinstance(value, sa.ColumnElement) else sa.literal(value) for value in found]


def nulls_placed(ordered: sa.UnaryExpression[Any] | sa.ColumnElement[Any], nulls: Nulls) -> sa.ColumnElement[Any]:
    """The same with NULLS FIRST or NULLS LAST, where that is said."""
    if nulls is None:
        return ordered
    return ordered.nulls_first() if nulls == "first" else ordered.nulls_last()


def joined(parts: Sequence[sa.ColumnElement[str]], length: Any) -> sa.ColumnElement[str]:
    """Several texts as one, another for each other texts: each with its length before it."""
    if len(parts) == 1:
        return parts[0]
    named: sa.ColumnElement[str] = sa.literal("", sa.Text)
    for part in parts:
        named = named.concat(length(part)).concat(sa.literal(":", sa.Text)).concat(part)
    return named
