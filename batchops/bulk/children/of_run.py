"""Builds what a run needs of its graph, for a purge with children or a plain one whose table refers to itself."""

from collections.abc import Iterator

import sqlalchemy as sa

from batchops.bulk.children.discover import nulls_of
from batchops.bulk.children.graph import Edge, Graph, name_of
from batchops.bulk.children.order import components
from batchops.bulk.children.shape import FamilyShapes
from batchops.bulk.children.taken import ChildrenOfRun
from batchops.bulk.plan.inspection import Inspection
from batchops.bulk.plan.pinned import Pinned
from batchops.bulk.spec import BulkSpec, FamilySpec
from batchops.bulk.strategies import strategy_kind
from batchops.bulk.strategies.strategy import AUTO
from batchops.db.database import Database
from batchops.db.facts import CASCADE, SET_DEFAULT, SET_NULL, TableFacts
from batchops.db.foreign_keys import ForeignKey

_CHANGING = (CASCADE, SET_NULL, SET_DEFAULT)


def names_rows(found: Inspection, spec: BulkSpec) -> bool:
    """Whether the run has to identify rows by their key."""
    if found.graph is not None:
        return True
    return spec.strategy == AUTO and found.key is not None and found.ids is None and refers_to_itself(found.facts)


def children_of(
    connection: sa.Connection, database: Database, spec: BulkSpec, found: Inspection, pinned: Pinned
) -> ChildrenOfRun | None:  # fmt: skip
    """Return what the run knows of the rows that refer to its rows; None if it need not look for such rows."""
    if found.graph is not None:
        assert isinstance(spec, FamilySpec)  # nothing else takes children
        shapes = FamilyShapes(database.backend, found.graph, pinned.key)
        return ChildrenOfRun(shapes, found.mark, spec.max_total, whole=spec.whole_families)
    alone = found.ids is not None or not pinned.key or strategy_kind(pinned.strategy).evaluates_once
    offered = spec.offers_children and not spec.whole_families
    if not offered or alone or not refers_to_itself(found.facts):
        return None
    return _own_children(connection, database, found, pinned)


def refers_to_itself(facts: TableFacts) -> bool:
    """Whether rows of the table can keep other rows of it from being deleted."""
    return any(reference.restricts_own for reference in facts.references)


def _own_children(
    connection: sa.Connection, database: Database, found: Inspection, pinned: Pinned
) -> ChildrenOfRun:  # fmt: skip
    """Return the graph of a plain purge of a table that refers to itself.

    Its rows are deleted with the rows that refer to them, if these match too.
    """
    edges = tuple(_own_edges(connection, database, found, pinned))
    graph = Graph(found.table, edges, components(found.table, edges))
    return ChildrenOfRun(FamilyShapes(database.backend, graph, pinned.key), all_match=True)


def _own_edges(
    connection: sa.Connection, database: Database, found: Inspection, pinned: Pinned
) -> Iterator[Edge]:  # fmt: skip
    table = found.table
    for key in database.backend.foreign_keys.all(connection, (table.schema,)):
        if key.child == key.parent == name_of(table) and key.on_delete not in _CHANGING:
            yield Edge(
                child=table, columns=key.columns, parent=table, referred=key.referred, action="delete",
                why="it matches too", chosen=True, on_delete=key.on_delete, constraint=key.name,
                condition=pinned.condition, nulls=_nulled(connection, database, found, key),
                deferrable=key.deferrable, deferred=key.deferred, enforced=key.enforced,
            )  # fmt: skip


def _nulled(connection: sa.Connection, database: Database, found: Inspection, key: ForeignKey) -> tuple[str, ...]:
    """Return the columns to set to NULL in a row that refers to itself, if the server else refuses to delete it.

    Empty if others could notice it, by an UPDATE trigger, or if the role may not update the columns.
    """
    backend = database.backend
    if not backend.foreign_keys.checks_each_row(key.on_delete) or any(
        t.event == "UPDATE" for t in found.facts.triggers
    ):
        return ()
    nulls = nulls_of(found.table, key)
    return nulls if nulls and backend.rights.missing(connection, found.table, "UPDATE", nulls) is None else ()
