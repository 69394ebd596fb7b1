"""Rows that a run passes by, as people know them."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from batchops.bulk.strategies.batch import Part
from batchops.db.backend import Family
from batchops.db.types import KeyValue
from batchops.db.value_formats import as_text


def row_names(family: Family, connection: sa.Connection, part: Part, keys: Sequence[KeyValue]) -> dict[str, str]:
    """The rows for people, by the text of their keys."""
    table = part.selection.table
    own = [family.key_out(table, name).label(f"k{i}") for i, name in enumerate(part.key)]
    names = table.known_by or part.key
    shown = [family.key_out(table, name).label(f"n{i}") for i, name in enumerate(names)]
    rows: sa.Select[Any] = table.alone(sa.select(*own, *shown).select_from(table.called))
    found = {
        repr(tuple(family.key_value(value) for value in row[: len(own)])): row[len(own) :]
        for row in connection.execute(rows.where(family.among(table, part.key, keys)))
    }
    nothing = ("?",) * len(names)

    def named(key: KeyValue) -> str:
        known = found.get(repr(key), nothing)
        pairs = zip(part.key, key, strict=True) if None in known else zip(names, known, strict=True)
        return ", ".join(f"{name}={as_text(value)}" for name, value in pairs)

    return {repr(key): named(key) for key in keys}
