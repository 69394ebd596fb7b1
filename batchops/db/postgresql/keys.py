"""Keys in PostgreSQL: values as the server's own text, which is cast back to the column's type.

The text is exact for every type that has an order, including infinity, NaN, numeric scale, bits and enums.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import UserDefinedType

from batchops.db.keys import as_it_is, midpoint, uuid_bytes
from batchops.db.table import Column, Table, quoted
from batchops.db.types import KeyValue

LONGEST_LIST = 50_000
_NO_ORDER = ("json", "xml", "point", "box", "polygon", "path", "line", "lseg", "circle", "money")
_LENGTH = re.compile(r"\(\d+(,-?\d+)?\)")
_WHOLE = ("smallint", "integer", "bigint")
_PLAIN = (*_WHOLE, "uuid")
"""Types whose texts need no quotes in an array. A value None would not be a number; no key of these types has one."""
_UNBOUNDED = {"character": "bpchar", "bit": "bit varying"}
_TEXTS = ("text", "character", "character varying", "bpchar", "citext", '"char"')


class NamedType(UserDefinedType[Any]):
    """A type with the catalog's own spelling of it (format_type)."""

    cache_ok = True

    def __init__(self, spelling: str) -> None:
        self.spelling = spelling

    def get_col_spec(self, **_: Any) -> str:
        return self.spelling


def refusal(column: Column) -> str | None:
    """Return why the type cannot be followed: money is not read back exactly in every locale, others have no order."""
    return f"type {column.type} has no exact order" if column.type in _NO_ORDER else None


def out(table: Table, name: str) -> sa.ColumnElement[Any]:
    """Return the key column as text."""
    return exact(_column(table, name))


def exact(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Return the column as the server's own text."""
    return sa.cast(column, sa.Text)


def order(table: Table, name: str) -> sa.ColumnElement[Any]:
    """Return the bare column: its text would sort in another order."""
    return _column(table, name)


def between(table: Table, names: Sequence[str], low: KeyValue, high: KeyValue) -> KeyValue | None:
    """Return a key halfway by the first column's whole numbers, else None; other columns keep the values of `low`."""
    if table.column(names[0]).type not in _WHOLE:
        return None
    middle = midpoint(low, high)
    return None if middle is None else (str(middle), *low[1:])


def are_numbers(table: Table, names: Sequence[str]) -> bool:
    """Return whether the key is one column of whole numbers."""
    return len(names) == 1 and _type(table, names[0]) in _WHOLE


def _column(table: Table, name: str) -> sa.ColumnElement[Any]:
    """Return the column; for another name, the hidden column with a row's place."""
    return table.called.c[quoted(name)] if name in table.column_names else sa.literal_column(name)


def _type(table: Table, name: str) -> str:
    return table.column(name).type if name in table.column_names else "tid"


def _typed(table: Table, name: str, value: Any) -> sa.ColumnElement[Any]:
    """Return a value of a key, or a parameter for one, cast to the column's type."""
    given = value if isinstance(value, sa.BindParameter) else sa.bindparam(None, value, sa.Text)
    return sa.cast(given, NamedType(_type(table, name)))


def _row(table: Table, names: Sequence[str]) -> sa.ColumnElement[Any]:
    columns = [_column(table, name) for name in names]
    return columns[0] if len(columns) == 1 else sa.tuple_(*columns)


def _key(table: Table, names: Sequence[str], key: KeyValue) -> sa.ColumnElement[Any]:
    values = [_typed(table, name, value) for name, value in zip(names, key, strict=True)]
    return values[0] if len(values) == 1 else sa.tuple_(*values)


def after(table: Table, names: Sequence[str], key: KeyValue) -> sa.ColumnElement[bool]:
    """Return the condition as a row comparison, for which PostgreSQL uses the index."""
    return _row(table, names) > _key(table, names, key)


def since(table: Table, names: Sequence[str], key: KeyValue) -> sa.ColumnElement[bool]:
    """Return the condition for the rows from the key on, with that row, as a row comparison."""
    return _row(table, names) >= _key(table, names, key)


def upto(table: Table, names: Sequence[str], key: KeyValue) -> sa.ColumnElement[bool]:
    """Return the condition for the rows up to the key, with that row, as a row comparison."""
    return _row(table, names) <= _key(table, names, key)


def among(table: Table, names: Sequence[str], keys: Sequence[KeyValue]) -> sa.ColumnElement[bool]:
    """Return the condition with one array for each column: the number of keys has no effect on that of parameters."""
    return listed(table, names, [sa.bindparam(None, text, sa.Text) for text in arrays_of(table, names, keys)])


def arrays_of(table: Table, names: Sequence[str], keys: Sequence[KeyValue]) -> list[str]:
    """Return the keys' values as one array for each column, in the text form that `listed` takes."""
    return [_array(_type(table, name), [key[i] for key in keys]) for i, name in enumerate(names)]


def listed(table: Table, names: Sequence[str], texts: Sequence[sa.ColumnElement[str]]) -> sa.ColumnElement[bool]:
    """Return the condition for the rows with one of the keys in these arrays; the server uses the index."""
    types = [_type(table, name) for name in names]
    nested = [type.endswith("]") for type in types]  # unnest would split arrays of arrays into their last elements
    typed = [
        sa.cast(text, sa.ARRAY(sa.Text) if flat else NamedType(f"{type}[]"))
        for text, type, flat in zip(texts, types, nested, strict=True)
    ]
    if len(typed) == 1 and not nested[0]:
        return _column(table, names[0]) == sa.func.any(typed[0])
    unnested = sa.func.unnest(*typed).table_valued(*(f"k{i}" for i in range(len(names)))).render_derived()
    values = [
        sa.cast(column, NamedType(type)) if flat else column
        for column, type, flat in zip(unnested.c, types, nested, strict=True)
    ]
    return _row(table, names).in_(sa.select(*values))


def _array(type: str, values: Sequence[str | None]) -> str:
    """Return the text of an array of that type: the driver takes a hundred times as long for a list."""
    if type in _PLAIN:
        return f"{{{','.join(map(str, values))}}}"
    return f"{{{','.join(map(_element, values))}}}"


def _element(value: str | None) -> str:
    if value is None:
        return "NULL"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def look_up(
    connection: sa.Connection,
    table: Table,
    names: Sequence[str],
    texts: Sequence[tuple[str, ...]],
    key: Sequence[str],
) -> list[tuple[int, KeyValue]]:
    """Do the work of `Keys.look_up`: the server itself reads the texts in the columns' types."""
    columns = [f"v{i}" for i in range(len(names))]
    wanted = [(place, meant) for place, text in enumerate(texts) for meant in _meanings(table, names, text)]
    arrays = [sa.bindparam(None, [text[i] for _, text in wanted], ARRAY(sa.Text)) for i in range(len(names))]
    unnested = sa.func.unnest(*(sa.cast(array, sa.ARRAY(sa.Text)) for array in arrays))
    given = unnested.table_valued(*columns, with_ordinality="place").render_derived()
    # Read before the join, so that the server reads every text, in whatever order it joins.
    values = [
        _read(given.c[column], _stored(table, name)).label(column) for column, name in zip(columns, names, strict=True)
    ]
    listed = sa.select(given.c.place, *values).offset(0).subquery("batchops_ids")
    equal = [table.called.c[quoted(name)] == listed.c[column] for column, name in zip(columns, names, strict=True)]
    found: sa.Select[Any] = sa.select(listed.c.place, *(out(table, name) for name in key))
    rows = table.alone(found.select_from(listed.join(table.called, sa.and_(*equal))))
    return [(wanted[int(row[0]) - 1][0], tuple(row[1:])) for row in connection.execute(rows)]


def _meanings(table: Table, names: Sequence[str], text: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the texts of one row for the server to read; for bytea also the bytes of a UUID.

    The server would read a UUID only as the characters that it is written with.
    """
    uuids = [
        uuid_bytes(one) if _stored(table, name) == "bytea" else None for name, one in zip(names, text, strict=True)
    ]
    pairs = zip(text, uuids, strict=True)
    return product(*((one,) if uuid is None else (one, f"\\x{uuid.hex()}") for one, uuid in pairs))


def _read(text: sa.ColumnElement[Any], type: str) -> sa.ColumnElement[Any]:
    bare = text if type.partition("(")[0] in _TEXTS else sa.func.btrim(text)
    return sa.cast(bare, NamedType(_whole(type)))


def _stored(table: Table, name: str) -> str:
    return table.column(name).stored


def _whole(type: str) -> str:
    """Return the type without its length: a cast to the length would cut a text or round a number to another key."""
    unbounded = _LENGTH.sub("", type)
    return _UNBOUNDED.get(unbounded, unbounded)


class PostgreSQLKeys:
    """The keys of PostgreSQL, from the functions of this module."""

    row_id_moves = True
    limits_deletes = False
    in_order = 2.5
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
    look_up = staticmethod(look_up)

    def row_id(self, table: Table) -> str | None:  # noqa: ARG002  every table has one
        return "ctid"
