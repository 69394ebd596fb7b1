"""The protocol by which several workers claim rows, so that no row is claimed twice."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import sqlalchemy as sa

from batchops.db.byte_limit import ByteLimit, RowBytes
from batchops.db.table import Column, Table
from batchops.db.types import KeyValue

Nulls = Literal["first", "last"] | None
"""Where rows with NULL come in an order; None: where the database puts them."""


@dataclass(frozen=True)
class OrderBy:
    """A column that rows are ordered by."""

    column: str
    down: bool = False
    nulls: Nulls = None


@dataclass(frozen=True)
class Claimable:
    """Which rows of a table are free, and what a claim sets in them. The functions take values, or parameters."""

    table: Table
    names: Sequence[str]
    """The names of the key's columns."""
    candidates: Callable[[Any, KeyValue | None], sa.Select[Any]]
    """Makes the query for up to that many candidates, in order, from a key on."""
    values: Callable[[Any, Any], Mapping[str, Any]]
    """Makes what a claim sets, from a token and the seconds of its lease."""
    columns: Sequence[sa.ColumnElement[Any]]
    """The columns to read, with their values after the claim."""
    limit: ByteLimit
    in_order: bool
    """Whether the candidates are in ascending order of their keys."""


class Claiming(Protocol):
    """Claims free rows of one table, with the same statements each time."""

    def __call__(
        self, connection: sa.Connection, rows: int, low: KeyValue | None, token: str, seconds: float
    ) -> Sequence[Sequence[Any]]:
        """Lock free candidates from `low` on, set the values in them, and return their keys and columns, in order.

        It claims at most `rows`, and no more than may be in memory at a time.
        """


class Marked(NamedTuple):
    """The result of a statement that marks rows."""

    keys: Collection[KeyValue]
    """The keys of the rows that it changed."""
    pending: bool | None = None
    """Whether one of them still meets the queue's condition; None if a query has to find that out."""


MarkedLater = Callable[[], Marked]
"""Returns the result of a marking statement, which may be sent with the next statement, or by this call."""


class Marking(Protocol):
    """Marks rows of one table, with the same statement each time."""

    def __call__(
        self, connection: sa.Connection, keys: Sequence[KeyValue], token: str, held: int | None = None
    ) -> MarkedLater:
        """Mark the rows with one of `keys` that `token` holds.

        `held`: how many rows were claimed with `token`, if the statement itself changes no row without it.
        """


class ClaimQueries(Protocol):
    """The statements of one database for workers that share a table."""

    types: Mapping[str, str]
    """The SQL types of lease columns, by kind: text, long text, number, count."""

    def refusal(self, connection: sa.Connection, table: Table) -> str | None:
        """Return why workers cannot share this table on this server; None if they can."""

    def now(self) -> sa.ColumnElement[float]:
        """Return the server's time in seconds since 1970, which is the same in the whole statement."""

    def free(self, select: sa.Select[Any]) -> sa.Select[Any]:
        """Return a query that locks the rows of `select`, and skips rows that others have locked."""

    def ordered(self, table: Table, by: OrderBy) -> Sequence[sa.ColumnElement[Any]]:
        """Return the expressions after ORDER BY for a column."""

    def claiming(self, rows: Claimable) -> Claiming:
        """Return what claims these rows."""

    def marking(
        self,
        table: Table,
        names: Sequence[str],
        statement: Callable[[Any], sa.Update | sa.Delete],
        condition: sa.ColumnElement[bool] | sa.TextClause | None,
        *,
        in_order: bool,
    ) -> Marking:
        """Return what marks rows; `statement` makes the statement for a token.

        `condition`: the condition of pending rows, if it reads the row alone; else None.
        `in_order`: whether the keys of a claim are in ascending order.
        """

    def change(
        self, connection: sa.Connection, table: Table, names: Sequence[str], statement: sa.Update | sa.Delete
    ) -> Sequence[KeyValue]:
        """Execute the statement, and return the keys of the rows that it changed."""

    def row_name(self, table: Table, names: Sequence[str]) -> sa.ColumnElement[str]:
        """Return a row's key as one text of at most 500 characters: unique for each key, the same in every session."""

    def key_from_text(self, column: Column, text: str) -> Any:
        """Return the key's value that the user wrote as `text`. Binary values are written in hexadecimal digits."""

    def row_bytes(self, table: Table, names: Sequence[str]) -> RowBytes:
        """Return the expression and the bound for the bytes of these columns of a row."""

    def serves(self, column: Column, kind: str, width: int) -> bool:
        """Whether the column can hold that kind of lease value: a text of `width` characters, a number, or a count."""

    def most(self, column: Column) -> int:
        """Return the greatest count that the column can hold."""

    def is_own(self, column: Column, kind: str) -> bool:
        """Whether the column has the type that batchops itself makes for that kind."""

    def check_at_once(self, connection: sa.Connection) -> None:
        """Make each statement check the constraints that otherwise COMMIT checks, if the database can."""

    def kept(self, table: Table, name: str) -> sa.ColumnElement[Any]:
        """Return the column's value in a form that `restored` converts back. It is equal only for equal values."""

    def restored(self, column: Column, kept: Any) -> sa.ColumnElement[Any]:
        """Return the expression that sets the column to the kept value again."""

    def age(self, column: Column, value: sa.ColumnElement[Any]) -> sa.ColumnElement[float] | None:
        """Return the age in seconds of a value of that column; None if the column holds no times."""


def sizes_of(
    connection: sa.Connection, rows: Claimable, low: KeyValue | None,
    free: Callable[[sa.Select[Any]], sa.Select[Any]],
) -> Callable[[int], Sequence[int]]:  # fmt: skip
    """Return a function that returns the bytes of the first free candidates, and locks them.

    Without the lock others could claim them meanwhile, and larger rows would take their place.
    """

    def sizes(most: int) -> Sequence[int]:
        query = rows.candidates(most, low).with_only_columns(rows.limit.of_row.label("bytes"))
        return connection.execute(free(query)).scalars().all()

    return sizes


def as_then(columns: Sequence[sa.ColumnElement[Any]], values: Mapping[str, Any]) -> list[sa.ColumnElement[Any]]:
    """Return the columns with the values that they have once `values` are set."""
    found = [values.get(str(getattr(column, "name", "")), column) for column in columns]
    return [value if isinstance(value, sa.ColumnElement) else sa.literal(value) for value in found]


def nulls_placed(ordered: sa.UnaryExpression[Any] | sa.ColumnElement[Any], nulls: Nulls) -> sa.ColumnElement[Any]:
    """Return the order with NULLS FIRST or NULLS LAST, if `nulls` asks for it."""
    if nulls is None:
        return ordered
    return ordered.nulls_first() if nulls == "first" else ordered.nulls_last()


def joined(parts: Sequence[sa.ColumnElement[str]], length: Any) -> sa.ColumnElement[str]:
    """Return several texts as one, each after its length. So different texts always give different results."""
    if len(parts) == 1:
        return parts[0]
    named: sa.ColumnElement[str] = sa.literal("", sa.Text)
    for part in parts:
        named = named.concat(length(part)).concat(sa.literal(":", sa.Text)).concat(part)
    return named
