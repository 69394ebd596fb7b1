"""The order in which archived tables are restored: each after those that its rows refer to."""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.db.reference_order import circles
from batchops.restore.found import Found
from batchops.runtime.refusal import Refusal


def parents_first(
    connection: sa.Connection, database: Database, found: Sequence[Found]
) -> tuple[tuple[Found, ...], list[Refusal]]:  # fmt: skip
    """The tables in that order, by the foreign keys of the database; and the circles, which have none."""
    if len(found) == 1:
        return tuple(found), []
    targets = {(one.schema, one.name): one for one in found}
    schemas = {one.schema for one in found if one.table is not None}
    keys = database.backend.foreign_keys.all(connection, schemas) if schemas else ()
    edges = [(key.parent, key.child) for key in keys if key.enforced and key.parent != key.child]
    sets = list(circles(list(targets), edges))
    ordered = [targets[name] for names in reversed(sets) for name in names]
    return tuple(ordered), [*_refusals([[targets[name].into for name in names] for names in sets if len(names) > 1])]


def _refusals(circular: Sequence[Sequence[str]]) -> Iterator[Refusal]:
    for names in circular:
        yield Refusal(
            "order",
            f"{', '.join(sorted(names))} refer to each other in a circle: rows of none of them can be restored first.",
            "drop one of the foreign keys, restore, and create it again.",
        )
