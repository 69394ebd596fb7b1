"""Keys by text in PostgreSQL: the server reads them in the columns' own types, and finds the rows."""

import re
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from batchops.db.key_lookup import uuid_bytes
from batchops.db.postgresql.keys import Named, out
from batchops.db.table import Table, quoted
from batchops.db.types import KeyValue

_LENGTH = re.compile(r"\(\d+(,-?\d+)?\)")
_UNBOUNDED = {"character": "bpchar", "bit": "bit varying"}
_TEXTS = ("text", "character", "character varying", "bpchar", "citext", '"char"')


def look_up(
    connection: sa.Connection,
    table: Table,
    names: Sequence[str],
    texts: Sequence[tuple[str, ...]],
    key: Sequence[str],
) -> list[tuple[int, KeyValue]]:
    """As the family says."""
    columns = [f"v{i}" for i in range(len(names))]
    wanted = [(place, meant) for place, text in enumerate(texts) for meant in _meanings(table, names, text)]
    arrays = [sa.bindparam(None, [text[i] for _, text in wanted], ARRAY(sa.Text)) for i in range(len(names))]
    unnested = sa.func.unnest(*(sa.cast(array, sa.ARRAY(sa.Text)) for array in arrays))
    given = unnested.table_valued(*columns, with_ordinality="place").render_derived()
    # Read apart from the rows, so that whatever the order of the join, no text is left unread.
    values = [
        _read(given.c[column], _type(table, name)).label(column) for column, name in zip(columns, names, strict=True)
    ]
    listed = sa.select(given.c.place, *values).offset(0).subquery("batchops_ids")
    equal = [table.called.c[quoted(name)] == listed.c[column] for column, name in zip(columns, names, strict=True)]
    found: sa.Select[Any] = sa.select(listed.c.place, *(out(table, name) for name in key))
    rows = table.alone(found.select_from(listed.join(table.called, sa.and_(*equal))))
    return [(wanted[int(row[0]) - 1][0], tuple(row[1:])) for row in connection.execute(rows)]


def _meanings(table: Table, names: Sequence[str], text: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The texts as the server may read them: of bytea it takes a UUID for the letters that it is written with."""
    uuids = [uuid_bytes(one) if _type(table, name) == "bytea" else None for name, one in zip(names, text, strict=True)]
    pairs = zip(text, uuids, strict=True)
    return product(*((one,) if uuid is None else (one, f"\\x{uuid.hex()}") for one, uuid in pairs))


def _read(text: sa.ColumnElement[Any], type: str) -> sa.ColumnElement[Any]:
    bare = text if type.partition("(")[0] in _TEXTS else sa.func.btrim(text)
    return sa.cast(bare, Named(_whole(type)))


def _type(table: Table, name: str) -> str:
    return table.column(name).stored


def _whole(type: str) -> str:
    """Without its length: a cast to it would cut a text, or round a number, and so make another key of it."""
    unbounded = _LENGTH.sub("", type)
    return _UNBOUNDED.get(unbounded, unbounded)
