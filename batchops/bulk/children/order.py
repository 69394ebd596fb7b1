"""Orders the tables of a graph for deletion: deepest first, with circles found and broken."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from batchops.bulk.children.graph import Component, Edge, name_of
from batchops.db.facts import TableName
from batchops.db.reference_order import circles
from batchops.db.table import Table


def components(root: Table, edges: Sequence[Edge]) -> tuple[Component, ...]:
    """Return the tables from which rows are deleted, deepest first; the tables of a circle make one component."""
    deleting = [edge for edge in edges if edge.action == "delete"]
    tables = {name_of(root): root} | {name_of(edge.child): edge.child for edge in deleting}
    return tuple(_component([tables[name] for name in names], deleting) for names in _circles(list(tables), deleting))


def parents_first(edges: Sequence[Edge]) -> tuple[Edge, ...]:
    """Return the edges in an order in which a child comes after the tables that it refers to, circles aside."""
    names = list(dict.fromkeys(name_of(table) for edge in edges for table in (edge.child, edge.parent)))
    places = {name: place for place, name in enumerate(name for circle in _circles(names, edges) for name in circle)}
    return tuple(sorted(edges, key=lambda edge: -places[name_of(edge.child)]))


def _component(tables: Sequence[Table], deleting: Sequence[Edge]) -> Component:
    names = {name_of(table) for table in tables}
    inside = tuple(edge for edge in deleting if {name_of(edge.child), name_of(edge.parent)} <= names)
    others = [edge for edge in inside if not edge.own]
    kept = [edge for edge in others if not edge.nullable and not edge.deferrable]
    by_name = {name_of(table): table for table in tables}
    circle = next((names for names in _circles(list(by_name), kept) if len(names) > 1), None)
    if circle is not None:
        unbreakable = tuple(e for e in kept if {name_of(e.child), name_of(e.parent)} <= set(circle))
        return Component(tuple(tables), inside, unbreakable=unbreakable)
    # Break as few edges as possible: deferring one costs one transaction for all rows, nulling one costs an UPDATE.
    deferred: list[Edge] = []
    breaks: list[Edge] = []
    for edge in (edge for edge in others if not edge.nullable and edge.deferrable):
        (deferred if _closes(edge, kept) else kept).append(edge)
    for edge in (edge for edge in others if edge.nullable):
        (breaks if _closes(edge, kept) else kept).append(edge)
    ordered = tuple(by_name[name] for names in _circles(list(by_name), kept) for name in names)
    return Component(ordered, inside, tuple(breaks), tuple(deferred))


def _closes(edge: Edge, kept: Sequence[Edge]) -> bool:
    """Whether the edge would close a circle with those that are kept."""
    names = list({name_of(table) for one in (*kept, edge) for table in (one.child, one.parent)})
    return any(len(circle) > 1 for circle in _circles(names, [*kept, edge]))


def _circles(names: Sequence[TableName], edges: Iterable[Edge]) -> Iterator[list[TableName]]:
    return circles(names, [(name_of(edge.parent), name_of(edge.child)) for edge in edges])


def depths(root: Table, edges: Sequence[Edge]) -> Mapping[TableName, int]:
    """Return the smallest number of edges between the root and each table."""
    found = {name_of(root): 0}
    waiting = [name_of(root)]
    while waiting:
        name = waiting.pop(0)
        for edge in edges:
            child = name_of(edge.child)
            if name_of(edge.parent) == name and child not in found:
                found[child] = found[name] + 1
                waiting.append(child)
    return found
