"""Keys in SQLite: any value may stand in any column, so values are kept with their own type."""

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from batchops.db.family import KeyValue
from batchops.db.table import Column, Table, quoted
from batchops.db.tagged import bound, tag


def refusal(column: Column) -> str | None:  # noqa: ARG001  every type has an order here
    """Every value has its place in SQLite's one order."""
    return None


def _column(table: Table, name: str) -> sa.ColumnElement[Any]:
    """A column, or the hidden row number of a table that has no key of its own."""
    return table.called.c[quoted(name)] if name in table.column_names else sa.literal_column(name)


out = order = _column


def between(table: Table, names: Sequence[str], low: KeyValue, high: KeyValue) -> KeyValue | None:  # noqa: ARG001
    """Never asked for: with one writer there is one lane."""
    return None


def value(value: Any) -> Any:
    """The driver's value, tagged."""
    return tag(value)


def _compared(table: Table, names: Sequence[str], key: KeyValue, operator: str) -> sa.ColumnElement[bool]:
    columns = [_column(table, name) for name in names]
    values = [bound(v) for v in key]
    if len(columns) == 1:
        return columns[0].op(operator, is_comparison=True, return_type=sa.Boolean())(values[0])
    return sa.tuple_(*columns).op(operator, is_comparison=True, return_type=sa.Boolean())(sa.tuple_(*values))


def after(table: Table, names: Sequence[str], key: KeyValue) -> sa.ColumnElement[bool]:
    """A row comparison, which SQLite walks by the index."""
    return _compared(table, names, key, ">")


def upto(table: Table, names: Sequence[str], key: KeyValue) -> sa.ColumnElement[bool]:
    """The same with its end."""
    return _compared(table, names, key, "<=")


def among(table: Table, names: Sequence[str], keys: Sequence[KeyValue]) -> sa.ColumnElement[bool]:
    """Whole numbers travel as one JSON text; other types one by one, in a list the caller keeps short."""
    columns = [_column(table, name) for name in names]
    if len(columns) == 1 and all(type(key[0]) is int for key in keys):
        listed = sa.bindparam(None, json.dumps([key[0] for key in keys]), sa.Text)
        return columns[0].in_(sa.select(sa.column("value")).select_from(sa.func.json_each(listed)))
    bound = [[bound(v) for v in key] for key in keys]
    return sa.or_(*(sa.and_(*(c == v for c, v in zip(columns, row, strict=True))) for row in bound))
