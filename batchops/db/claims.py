"""How several workers claim rows, so that none is claimed twice."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import sqlalchemy as sa

from batchops.db.byte_limit import ByteLimit, RowBytes
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
class Claimable:
    """Which rows of a table are free, and what a claim sets in them; made of values, or of their parameters."""

    table: Table
    names: Sequence[str]
    """Of the key."""
    candidates: Callable[[Any, KeyValue | None], sa.Select[Any]]
    """Up to so many, in order, from that key on."""
    values: Callable[[Any, Any], Mapping[str, Any]]
    """What is set in them, by a token and seconds."""
    columns: Sequence[sa.ColumnElement[Any]]
    """What is read of them, as they are then."""
    limit: ByteLimit


class Claiming(Protocol):
    """Claims free rows of one table, each time the same way."""

    def __call__(
        self, connection: sa.Connection, rows: int, low: KeyValue | None, token: str, seconds: float
    ) -> Sequence[Sequence[Any]]:
        """Lock up to `rows` free candidates from `low` on, as many as may be in memory at once, set the values in them,
        and give their keys and columns. Never more than `rows`, and in the candidates' order.
        """


class Marked(NamedTuple):
    """What a statement that marks rows has done."""

    keys: Collection[KeyValue]
    """Of the rows that it changed."""
    pending: bool | None = None
    """Whether one of them still meets the queue's condition; None where that has to be asked."""


MarkedLater = Callable[[], Marked]
"""What it has done, which has to be asked for: it may be sent with the next statement, or only then."""


class Marking(Protocol):
    """Marks rows of one table, each time the same way."""

    def __call__(self, connection: sa.Connection, keys: Sequence[KeyValue], token: str) -> MarkedLater:
        """Mark those of `keys` that `token` holds."""


class ClaimQueries(Protocol):
    """What one database can do for workers that share a table."""

    types: Mapping[str, str]
    """The spelling of the types that lease columns have: text, long text, number, count."""

    def refusal(self, connection: sa.Connection, table: Table) -> str | None:
        """Why this server cannot keep workers apart on this table; None where it can."""

    def now(self) -> sa.ColumnElement[float]:
        """The server's clock in seconds since 1970, one reading for a whole statement."""

    def free(self, select: sa.Select[Any]) -> sa.Select[Any]:
        """The rows of `select`, locked, without those that others have locked."""

    def ordered(self, table: Table, by: OrderBy) -> Sequence[sa.ColumnElement[Any]]:
        """What follows ORDER BY for it."""

    def claiming(self, rows: Claimable) -> Claiming:
        """How these are claimed."""

    def marking(
        self,
        table: Table,
        names: Sequence[str],
        statement: Callable[[Any], sa.Update | sa.Delete],
        condition: sa.ColumnElement[bool] | sa.TextClause | None,
    ) -> Marking:
        """How rows are marked by a statement that is made of a token.

        `condition`: what pending rows meet, where the row alone says that; else None.
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


def sizes_of(
    connection: sa.Connection, rows: Claimable, low: KeyValue | None,
    free: Callable[[sa.Select[Any]], sa.Select[Any]],
) -> Callable[[int], Sequence[int]]:  # fmt: skip
    """The bytes of the first so many free candidates; those that were looked at are locked.

    Were they not, others could take them meanwhile, and larger ones would come in their place.
    """

    def sizes(most: int) -> Sequence[int]:
        query = rows.candidates(most, low).with_only_columns(rows.limit.of_row.label("bytes"))
        return connection.execute(free(query)).scalars().all()

    return sizes


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
