"""Keys: how they are read, put in order, compared and sent again."""

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
"""(table, column, text): the values that it may mean; ValueError where it is none of the column's type."""
Select = Callable[[Sequence[KeyValue]], list[tuple[KeyValue, KeyValue]]]
"""Rows among those values: what each has there, and its key."""

Written = sa.Update | sa.Delete


class Keys(Protocol):
    """What one database can do with the keys of rows."""

    row_id: str | None
    """A hidden column that names a row inside a transaction."""
    row_id_moves: bool
    """Whether an UPDATE of the row gives it another one."""
    limits_deletes: bool
    """Whether it has DELETE … LIMIT, see `table.limited`."""
    in_order: float
    """What a row costs that is read in the key's order, where windows end too, for one that is read by block."""
    longest_list: int
    """How many keys `among` takes at the most."""

    def refusal(self, column: Column) -> str | None:
        """Why this column cannot be followed as a key; None where it can."""

    def out(self, table: Table, name: str) -> sa.ColumnElement[Any]:
        """How a key column is selected so that its value is exact."""

    def exact(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """The same for a key's column that another SELECT has found."""

    def order(self, table: Table, name: str) -> sa.ColumnElement[Any]:
        """The key column as rows are put in order by it."""

    def after(self, table: Table, names: Sequence[str], key: KeyValue) -> sa.ColumnElement[bool]:
        """Rows behind `key` in the order of `names`."""

    def since(self, table: Table, names: Sequence[str], key: KeyValue) -> sa.ColumnElement[bool]:
        """Rows from `key` on."""

    def upto(self, table: Table, names: Sequence[str], key: KeyValue) -> sa.ColumnElement[bool]:
        """Rows up to and with `key`."""

    def among(self, table: Table, names: Sequence[str], keys: Sequence[KeyValue]) -> sa.ColumnElement[bool]:
        """Rows with one of `keys`, by the index."""

    def by_index(self, table: Table, names: Sequence[str], statement: Written) -> Written:
        """The statement about rows `among` some keys, with what makes the server use the key's index for that."""

    def look_up(
        self,
        connection: sa.Connection,
        table: Table,
        names: Sequence[str],
        texts: Sequence[tuple[str, ...]],
        key: Sequence[str],
    ) -> list[tuple[int, KeyValue]]:
        """The values in `key` of the rows that there are of those with `texts` in `names`, with the texts' places.

        RowRefusedError, or the driver's own error, where one cannot be read in its column's type.
        """

    def between(self, table: Table, names: Sequence[str], low: KeyValue, high: KeyValue) -> KeyValue | None:
        """A key halfway by number; None where the first column is none or there is nothing between."""


def as_it_is(table: Table, names: Sequence[str], statement: Written) -> Written:  # noqa: ARG001  it needs no hint
    """`Keys.by_index` where the server does that by itself."""
    return statement


def midpoint(low: KeyValue, high: KeyValue) -> int | None:
    """The whole number in the middle; None where there is none strictly between them."""
    try:
        first, last = int(low[0]), int(high[0])
    except (TypeError, ValueError):
        return None
    return (first + last) // 2 if last - first > 1 else None


def look_up(
    keys: Keys, read: Read, connection: sa.Connection, table: Table, names: Sequence[str],
    texts: Sequence[tuple[str, ...]], key: Sequence[str],
) -> list[tuple[int, KeyValue]]:  # fmt: skip
    """`Keys.look_up` where `read` makes the values, and not the server."""
    wanted = [_readings(table, names, text, read) for text in texts]
    own, of_key = ([keys.out(table, name) for name in some] for some in (names, key))
    return _matched(wanted, _selecting(connection, table, own, of_key, lambda some: keys.among(table, names, some)))


def _readings(table: Table, names: Sequence[str], texts: tuple[str, ...], read: Read) -> list[KeyValue]:
    """The keys that the texts of one row may mean."""
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
    """The 16 bytes of a UUID that is written with its dashes; None for any other text."""
    return bytes.fromhex(text.replace("-", "")) if _UUID.fullmatch(text) else None


def _matched(wanted: Sequence[Sequence[KeyValue]], select: Select) -> list[tuple[int, KeyValue]]:
    """Keys of the rows that `select` finds, each with its place in `wanted`."""
    places: dict[KeyValue, list[int]] = {}
    for i, keys in enumerate(wanted):
        for key in keys:
            places.setdefault(key, []).append(i)
    rows = select(list(places))
    found = [(i, key) for named, key in rows for i in places.get(named, ())]
    if all(named in places for named, _ in rows):
        return found
    # The server takes some for equal that are not the same: letters of either case, blanks at the end.
    for i in set(range(len(wanted))) - {i for i, _ in found}:
        found += [(i, key) for _, key in select(wanted[i])]
    return found


def _selecting(
    connection: sa.Connection, table: Table, named: Sequence[sa.ColumnElement[Any]],
    key: Sequence[sa.ColumnElement[Any]], among: Callable[[Sequence[KeyValue]], sa.ColumnElement[bool]],
) -> Select:  # fmt: skip
    """Reads the rows among a list of what they have in `named`."""
    columns = [column.label(f"c{i}") for i, column in enumerate((*named, *key))]
    rows: sa.Select[Any] = table.alone(sa.select(*columns).select_from(table.called))

    def select(keys: Sequence[KeyValue]) -> list[tuple[KeyValue, KeyValue]]:
        chunks = (keys[i : i + _AT_ONCE] for i in range(0, len(keys), _AT_ONCE))
        found = [row for chunk in chunks for row in connection.execute(rows.where(among(chunk)))]
        return [(tuple(row[: len(named)]), tuple(row[len(named) :])) for row in found]

    return select
