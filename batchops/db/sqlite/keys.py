"""Keys in SQLite: each value keeps its own type, as any value may be in any column."""

import math
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import sqlalchemy as sa

from batchops.db.keys import as_it_is, look_up, midpoint, uuid_bytes
from batchops.db.table import Column, Table, quoted
from batchops.db.types import KeyValue

LONGEST_LIST = 5_000
_WHOLE = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)


class Untyped(sa.types.UserDefinedType[Any]):
    """The type of a value that is passed to the driver unchanged; a statement that is shown has it as a literal."""

    cache_ok = True

    def literal_processor(self, dialect: sa.Dialect) -> Callable[[Any], str]:  # noqa: ARG002  the type's shape
        return _as_literal


def _as_literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def refusal(column: Column) -> str | None:  # noqa: ARG001  every type has an order here
    """Return None: SQLite has one order for all values."""
    return None


def _column(table: Table, name: str) -> sa.ColumnElement[Any]:
    """Return the column; for another name, the hidden rowid."""
    if name in table.column_names:
        return table.called.c[quoted(name)]
    hidden: sa.ColumnClause[Any] = sa.column(quoted(name))
    hidden.table = table.called  # in a sub-select, the bare name would mean the rowid of the inner table
    return hidden


out = order = _column


def exact(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Return the column unchanged."""
    return column


def between(table: Table, names: Sequence[str], low: KeyValue, high: KeyValue) -> KeyValue | None:  # noqa: ARG001
    """Return a key halfway by the first column's whole numbers, else None; other columns keep the values of `low`."""
    middle = midpoint(low, high) if type(low[0]) is int and type(high[0]) is int else None
    return None if middle is None else (middle, *low[1:])


def _compared(table: Table, names: Sequence[str], key: KeyValue, operator: str) -> sa.ColumnElement[bool]:
    columns = [_column(table, name) for name in names]
    values: list[sa.ColumnElement[Any]] = [sa.bindparam(None, v, Untyped()) for v in key]
    if len(columns) == 1:
        return columns[0].op(operator, is_comparison=True, return_type=sa.Boolean())(values[0])
    return sa.tuple_(*columns).op(operator, is_comparison=True, return_type=sa.Boolean())(sa.tuple_(*values))


def after(table: Table, names: Sequence[str], key: KeyValue) -> sa.ColumnElement[bool]:
    """Return the condition as a row comparison, for which SQLite uses the index."""
    return _compared(table, names, key, ">")


def since(table: Table, names: Sequence[str], key: KeyValue) -> sa.ColumnElement[bool]:
    """Return the condition for the rows from the key on, with that row, as a row comparison."""
    return _compared(table, names, key, ">=")


def upto(table: Table, names: Sequence[str], key: KeyValue) -> sa.ColumnElement[bool]:
    """Return the condition for the rows up to the key, with that row, as a row comparison."""
    return _compared(table, names, key, "<=")


def among(table: Table, names: Sequence[str], keys: Sequence[KeyValue]) -> sa.ColumnElement[bool]:
    """Return the condition with a list of values or rows: a chain of ORs would be too deep for SQLite's parser."""
    columns = [_column(table, name) for name in names]
    if len(columns) == 1:
        # Untyped: SQLAlchemy would use the type of the first value for all of them.
        return columns[0].in_(sa.bindparam(None, [key[0] for key in keys], Untyped(), expanding=True))
    return sa.tuple_(*columns, types=[Untyped()] * len(columns)).in_([tuple(key) for key in keys])


def _read(table: Table, name: str, text: str) -> Sequence[Any]:
    """Return the values that the text may mean, by the column's affinity.

    If the affinity keeps values unchanged, a text may mean several: a number, bytes and the text itself.
    """
    kind = table.column(name).type.upper() if name in table.column_names else "INT"
    if "INT" in kind:
        return (_whole(text),)
    if any(word in kind for word in ("CHAR", "CLOB", "TEXT")):
        return (text,)
    if "BLOB" in kind:
        return (*_bytes(text), text)
    if any(word in kind for word in ("REAL", "FLOA", "DOUB")):
        return (float(text),)
    number = _number(text)
    return (text, *(_bytes(text) if number is None else (number,)))


def _whole(text: str) -> int:
    number = int(text) if _WHOLE.fullmatch(text) else None
    if number is None or not -(2**63) <= number < 2**63:
        raise ValueError(text)
    return number


def _number(text: str) -> int | float | None:
    """Return the whole or finite number that the text is; None for any other text."""
    with suppress(ValueError):
        return _whole(text)
    with suppress(ValueError):
        number = float(text)
        return number if math.isfinite(number) else None
    return None


def _bytes(text: str) -> Sequence[bytes]:
    """Return the bytes that the text means as a UUID or in hexadecimal digits; nothing for any other text."""
    if (uuid := uuid_bytes(text)) is not None:
        return (uuid,)
    with suppress(ValueError):
        return (bytes.fromhex(text.strip().removeprefix("0x")),)
    return ()


class SQLiteKeys:
    """The keys of SQLite, from the functions of this module."""

    row_id_moves = False
    limits_deletes = False
    in_order = 1.3
    longest_list = LONGEST_LIST
    refusal = staticmethod(refusal)
    out = staticmethod(out)
    exact = staticmethod(exact)
    order = staticmethod(order)
    after = staticmethod(after)
    since = staticmethod(since)
    upto = staticmethod(upto)
    among = staticmethod(among)
    by_index = staticmethod(as_it_is)
    between = staticmethod(between)

    def row_id(self, table: Table) -> str | None:
        """Return the name of the rowid that no column hides; None for a table WITHOUT ROWID."""
        return next((key.columns[0] for key in table.keys if key.columns[0] not in table.column_names), None)

    def look_up(
        self, connection: sa.Connection, table: Table, names: Sequence[str], texts: Sequence[tuple[str, ...]],
        key: Sequence[str],
    ) -> list[tuple[int, KeyValue]]:  # fmt: skip
        return look_up(self, _read, connection, table, names, texts, key)
