"""Which strategy finds the rows, chosen by the server's own plan and statistics, and why."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from batchops.bulk.plan.strategy_texts import STRATEGY_TEXTS
from batchops.db.backend import Backend, IndexUse
from batchops.db.table import Key, Table, quoted
from batchops.errors import RefusedError
from batchops.sql.selection import Selection

SELECTIVE = 0.1
"""Share of matching rows below which an index on the condition beats reading the table in order."""
MOST_TIES = 60_000
"""Rows with one indexed value that a batch may have to sort."""


@dataclass(frozen=True)
class Choice:
    """A strategy by name, what it follows, and why it was taken."""

    strategy: str
    key: tuple[str, ...]
    why: str
    leaves: tuple[Table, ...] = field(default=())
    """The partitions to process one by one; none: the table itself."""


def choose(
    connection: sa.Connection, backend: Backend, selection: Selection, key: Key | None, *, wanted: str, purge: bool
) -> Choice:
    """The strategy that was asked for, or for "auto" the best for the table; RefusedError if there is none."""
    if not purge:
        return _keys(key, "a backfill visits each row once, along a key", wanted)
    select = _matching(selection)
    leaves = backend.leaves(connection, selection.table, select, "DELETE")
    if leaves is not None:
        return _partitioned(connection, backend, leaves, key, wanted)
    index = _index(connection, backend, selection, key, select) if wanted in ("auto", "index") else None
    if index is not None:
        return index
    blocks = backend.blocks(connection, selection.table) is not None
    if wanted in ("auto", "block") and blocks:
        return Choice("block", (), "no index is selective for the condition, so the table is read in disk order")
    if wanted in ("auto", "key") and key is not None:
        return _keys(key, f"each row is named by {', '.join(key.columns)}", wanted)
    if wanted in ("auto", "limit"):
        why = "asked for" if wanted == "limit" else "nothing names a row"
        return Choice("limit", (), f"{why}; it reads again over what earlier batches left behind")
    return _none(selection.table, wanted)


def _keys(key: Key | None, why: str, wanted: str) -> Choice:
    if wanted not in ("auto", "key"):
        raise RefusedError(
            f"A backfill cannot use the strategy {wanted}: it could update a row twice.", "leave --strategy out."
        )
    if key is None:
        raise RefusedError(
            "The table has no primary key or unique index without NULLs, so a backfill cannot follow its rows.",
            "add one; there is no way around it.",
        )
    return Choice("key", key.columns, why)


def _none(table: Table, wanted: str) -> Choice:
    raise RefusedError(
        f'Table "{table.label}" cannot use the strategy {wanted}: {STRATEGY_TEXTS[wanted].refusal}.',
        "see `batchops strategies`.",
    )


def _index(
    connection: sa.Connection, backend: Backend, selection: Selection, key: Key | None, select: sa.Select[Any]
) -> Choice | None:
    use = backend.index_for(connection, selection.table, select)
    if use is None or key is None or not _worth_it(use, selection.table, key):
        return None
    first = use.columns[0]
    if backend.key_refusal(selection.table.column(first)) or _holds_null(connection, selection, select, first):
        return None
    columns = (first, *(name for name in key.columns if name != first))
    share = (
        f"about {use.rows:,} rows"
        if selection.table.rows is None
        else f"about {use.rows:,} of {selection.table.rows:,} rows"
    )
    return Choice("index", columns, f"index {use.name} finds {share}")


def _worth_it(use: IndexUse, table: Table, key: Key) -> bool:
    ordered = use.columns[1 : 1 + len(key.columns)] == key.columns or use.columns[: len(key.columns)] == key.columns
    if not ordered and min(use.ties, use.rows) > MOST_TIES:
        return False
    return table.rows is None or use.rows <= SELECTIVE * table.rows


def _holds_null(connection: sa.Connection, selection: Selection, select: sa.Select[Any], column: str) -> bool:
    """Rows without a value there have no place in the index's order."""
    if not selection.table.column(column).nullable:
        return False
    without = select.where(selection.table.called.c[quoted(column)].is_(None)).limit(1)
    return connection.execute(without).first() is not None


def _matching(selection: Selection) -> sa.Select[Any]:
    rows: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(selection.table.called)
    return rows.where(selection.clause)


def _partitioned(
    connection: sa.Connection, backend: Backend, leaves: Sequence[Table], key: Key | None, wanted: str
) -> Choice:
    if leaves and wanted in ("auto", "block") and all(backend.blocks(connection, leaf) for leaf in leaves):
        return Choice("block", (), f"{_partitions(leaves)}, each in disk order", tuple(leaves))
    if leaves and wanted in ("auto", "key") and key is not None and all(_has(leaf, key) for leaf in leaves):
        return Choice("key", key.columns, f"{_partitions(leaves)}, each along its key", tuple(leaves))
    if wanted in ("auto", "key") and key is not None:
        return Choice("key", key.columns, "the partitions cannot be processed one by one, so the parent is, by its key")
    raise RefusedError(
        f"The partitioned table cannot use the strategy {wanted}.",
        "leave --strategy out, or add a primary key to the parent.",
    )


def _partitions(leaves: Sequence[Table]) -> str:
    return "1 partition" if len(leaves) == 1 else f"{len(leaves)} partitions"


def _has(leaf: Table, key: Key) -> bool:
    return any(own.columns == key.columns for own in leaf.keys)
