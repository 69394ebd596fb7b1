"""The order in which archived tables are restored: each after those that its rows refer to."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.db.facts import TableName
from batchops.db.foreign_keys import ForeignKey
from batchops.db.reference_order import circles
from batchops.restore.found import Found, key_of
from batchops.runtime.refusal import Refusal

Later = Mapping[str, tuple[str, ...]]
"""Columns that stay NULL until the rows of all tables are restored, by the archived table's label."""


@dataclass(frozen=True)
class TableOrder:
    """The order of several tables in one restore."""

    found: tuple[Found, ...]
    """The tables to restore, parents first."""
    later: Later = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()


def parents_first(connection: sa.Connection, database: Database, found: Sequence[Found]) -> TableOrder:
    """Order the tables by the database's foreign keys. Columns that may be NULL break a circle: they are set later."""
    targets = {(one.schema, one.name): one for one in found if one.segments}
    stayed = tuple(one for one in found if not one.segments)
    schemas = {one.schema for one in targets.values() if one.table is not None}
    if len(found) == 1 or not schemas:
        return TableOrder(tuple(found))
    keys = [
        key
        for key in database.backend.foreign_keys.all(connection, schemas)
        if key.enforced and key.parent != key.child and {key.parent, key.child} <= set(targets)
    ]
    kept = [key for key in keys if not _nulls(targets[key.child], key)]
    later: dict[str, tuple[str, ...]] = {}
    for key in (key for key in keys if key not in kept):
        if _circular(targets, [*kept, key]) and not _circular(targets, kept):
            label = targets[key.child].label
            later[label] = tuple(dict.fromkeys((*later.get(label, ()), *_nulls(targets[key.child], key))))
        else:
            kept.append(key)
    # Reversed here, as the result is reversed too: tables without references keep the archive's order.
    sets = list(circles([*reversed(targets)], [(key.parent, key.child) for key in kept]))
    ordered = tuple(targets[name] for names in reversed(sets) for name in names)
    return TableOrder((*ordered, *stayed), later, (*_refusals(targets, sets), *_unnamed(ordered, later)))


def _nulls(one: Found, key: ForeignKey) -> tuple[str, ...]:
    """Return the columns of the key that may be NULL; with MATCH FULL all columns of it or none."""
    if one.table is None:
        return ()
    nullable = {column.name for column in one.table.columns if column.nullable and not column.generated}
    names = tuple(name for name in key.columns if name in nullable and name not in one.table.primary)
    return () if key.match_full and len(names) < len(key.columns) else names


def _circular(targets: Mapping[TableName, Found], keys: Sequence[ForeignKey]) -> bool:
    edges = [(key.parent, key.child) for key in keys]
    return any(len(names) > 1 for names in circles(list(targets), edges))


def _refusals(targets: Mapping[TableName, Found], sets: Sequence[Sequence[TableName]]) -> Iterator[Refusal]:
    for names in (names for names in sets if len(names) > 1):
        yield Refusal(
            "order",
            f"{', '.join(sorted(targets[name].into for name in names))} refer to each other in a circle, and none of "
            "the columns may be NULL: rows of none of them can be restored first.",
            "drop one of the foreign keys, restore, and create it again.",
        )


def _unnamed(found: Sequence[Found], later: Later) -> Iterator[Refusal]:
    for one in found:
        if one.label in later and one.table is not None and not key_of(one.table, one.archived):
            yield Refusal(
                "key",
                f'Rows of "{one.into}" refer to others in a circle by {", ".join(later[one.label])}, which is set once '
                "all rows are there. It has no key of archived, not generated columns, by which to find its rows then.",
                "add a primary key.",
            )
