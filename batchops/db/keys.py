"""Keys of rows: how they are read, sorted, compared and sent back to the database."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.db.table import Column, Table
from batchops.db.types import KeyValue
from batchops.errors import RowRefusedError

_AT_ONCE = 1_000
_UUID = re.compile(r"\s*[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\s*", re.IGNORECASE)
_BYTES = ("binary", "blob")
Read = Callable[[Table, str, str], Sequence[Any]]
"""Takes table, column and text; returns the values that the text may mean. ValueError: it is none of the column's."""
Select = Callable[[Sequence[KeyValue]], list[tuple[KeyValue, KeyValue]]]
"""Takes values; returns, for each row that has one of them, the values that it has and its key."""

Written = sa.Update | sa.Delete


class Keys(Protocol):
    """What one database can do with the keys of rows."""

    row_id_moves: bool
    """Whether an UPDATE of the row changes its `row_id`."""
    limits_deletes: bool
    """Whether the database has DELETE … LIMIT, see `table.limited`."""
    in_order: float
    """The cost of a row that is read in the key's order, with finding the ends of windows; read by block it costs 1."""
    longest_list: int
    """The most keys that `among` takes."""

    def row_id(self, table: Table) -> str | None:
        """Return the hidden column that names a row of the table inside a transaction; None where there is none."""

    def refusal(self, column: Column) -> str | None:
        """Return why this column cannot be followed as a part of a key; None where it can."""

    def out(self, table: Table, name: str) -> sa.ColumnElement[Any]:
        """Return how to select a key column so that its value is exact."""

    def exact(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Return how to select the exact value of a key column that an inner SELECT returns."""

    def order(self, table: Table, name: str) -> sa.ColumnElement[Any]:
        """Return the key column for ORDER BY."""

    def after(self, table: Table, names: Sequence[str], key: KeyValue) -> sa.ColumnElement[bool]:
        """Return the condition for the rows after `key` in the order of `names`."""

    def since(self, table: Table, names: Sequence[str], key: KeyValue) -> sa.ColumnElement[bool]:
        """Return the condition for the rows from `key` on, with that row."""

    def upto(self, table: Table, names: Sequence[str], key: KeyValue) -> sa.ColumnElement[bool]:
        """Return the condition for the rows up to `key`, with that row."""

    def among(self, table: Table, names: Sequence[str], keys: Sequence[KeyValue]) -> sa.ColumnElement[bool]:
        """Return the condition for the rows with one of `keys`, written so that the server uses the key's index."""

    def by_index(self, table: Table, names: Sequence[str], statement: Written) -> Written:
        """Return the statement, whose condition is `among`, with a hint to use the key's index where one is needed."""

    def look_up(
        self,
        connection: sa.Connection,
        table: Table,
        names: Sequence[str],
        texts: Sequence[tuple[str, ...]],
        key: Sequence[str],
    ) -> list[tuple[int, KeyValue]]:
        """Find the rows whose columns `names` have the values that `texts` are written for.

        Return, for each row found, the index of its text and the row's values in the columns `key`. RowRefusedError,
        or the driver's own error, where a text cannot be read in its column's type.
        """

    def between(self, table: Table, names: Sequence[str], low: KeyValue, high: KeyValue) -> KeyValue | None:
        """Return a key halfway between two, by the number in the first column.

        None where that column holds no whole numbers, or where none lies between.
        """


def as_it_is(table: Table, names: Sequence[str], statement: Written) -> Written:  # noqa: ARG001  it needs no hint
    """Return the statement unchanged: `Keys.by_index` for a server that uses the key's index without a hint."""
    return statement


def midpoint(low: KeyValue, high: KeyValue) -> int | None:
    """Return the whole number halfway between the first values of two keys; None where none lies strictly between."""
    try:
        first, last = int(low[0]), int(high[0])
    except (TypeError, ValueError):
        return None
    return (first + last) // 2 if last - first > 1 else None


def look_up(
    keys: Keys, read: Read, connection: sa.Connection, table: Table, names: Sequence[str],
    texts: Sequence[tuple[str, ...]], key: Sequence[str],
) -> list[tuple[int, KeyValue]]:  # fmt: skip
    """Do the work of `Keys.look_up` for a database where `read`, and not the server, reads the texts as values."""
    wanted = [_readings(table, names, text, read) for text in texts]
    own, of_key = ([keys.out(table, name) for name in some] for some in (names, key))
    return _matched(wanted, _selecting(connection, table, own, of_key, lambda some: keys.among(table, names, some)))


def _readings(table: Table, names: Sequence[str], texts: tuple[str, ...], read: Read) -> list[KeyValue]:
    """Return the keys that the texts of one row may mean."""
    found: list[KeyValue] = [()]
    for name, text in zip(names, texts, strict=True):
        try:
            values = read(table, name, text)
        except (ValueError, ArithmeticError) as error:
            kind = table.column(name).type if name in table.column_names else "integer"
            hint = "write bytes in hexadecimal digits (0x00ff), 16 of them also as a UUID with dashes."
            shown_hint = hint if any(word in kind.lower() for word in _BYTES) else ""
            raise RowRefusedError(f'"{text[:100]}" is not a value for "{name}" ({kind}).', shown_hint) from error
        found = [(*key, value) for key in found for value in values]
    return found


def uuid_bytes(text: str) -> bytes | None:
    """Return the 16 bytes of a UUID that is written with its dashes; None for any other text."""
    return bytes.fromhex(text.replace("-", "")) if _UUID.fullmatch(text) else None


def _matched(wanted: Sequence[Sequence[KeyValue]], select: Select) -> list[tuple[int, KeyValue]]:
    """Return the keys of the rows that `select` finds, each with its index in `wanted`."""
    places: dict[KeyValue, list[int]] = {}
    for i, keys in enumerate(wanted):
        for key in keys:
            places.setdefault(key, []).append(i)
    rows = select(list(places))
    found = [(i, key) for named, key in rows for i in places.get(named, ())]
    if all(named in places for named, _ in rows):
        return found
    # The server compares some values as equal that differ: letters of either case, blanks at the end.
    for i in set(range(len(wanted))) - {i for i, _ in found}:
        found += [(i, key) for _, key in select(wanted[i])]
    return found


def _selecting(
    connection: sa.Connection, table: Table, named: Sequence[sa.ColumnElement[Any]],
    key: Sequence[sa.ColumnElement[Any]], among: Callable[[Sequence[KeyValue]], sa.ColumnElement[bool]],
) -> Select:  # fmt: skip
    """Return a function that reads the rows which have one of a list of values in the columns `named`."""
    columns = [column.label(f"c{i}") for i, column in enumerate((*named, *key))]
    rows: sa.Select[Any] = table.alone(sa.select(*columns).select_from(table.called))

    def select(keys: Sequence[KeyValue]) -> list[tuple[KeyValue, KeyValue]]:
        chunks = (keys[i : i + _AT_ONCE] for i in range(0, len(keys), _AT_ONCE))
        found = [row for chunk in chunks for row in connection.execute(rows.where(among(chunk)))]
        return [(tuple(row[: len(named)]), tuple(row[len(named) :])) for row in found]

    return select
