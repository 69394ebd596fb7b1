"""Rows that a run passes by, as people know them."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from batchops.bulk.strategies.batch import Batch
from batchops.db.backend import Backend
from batchops.db.types import KeyValue
from batchops.db.value_formats import as_text


def row_names(backend: Backend, connection: sa.Connection, batch: Batch, keys: Sequence[KeyValue]) -> dict[str, str]:
    """The rows for people, by the text of their keys."""
    table = batch.selection.table
    own = [backend.key_out(table, name).label(f"k{i}") for i, name in enumerate(batch.key)]
    names = table.known_by or batch.key
    shown = [backend.key_out(table, name).label(f"n{i}") for i, name in enumerate(names)]
    rows: sa.Select[Any] = table.alone(sa.select(*own, *shown).select_from(table.called))
    found = {
        repr(tuple(backend.key_value(value) for value in row[: len(own)])): row[len(own) :]
        for row in connection.execute(rows.where(backend.among(table, batch.key, keys)))
    }
    nothing = ("?",) * len(names)

    def named(key: KeyValue) -> str:
        known = found.get(repr(key), nothing)
        pairs = zip(batch.key, key, strict=True) if None in known else zip(names, known, strict=True)
        return ", ".join(f"{name}={as_text(value)}" for name, value in pairs)

    return {repr(key): named(key) for key in keys}
