"""What is read of a table's rows while a family is removed: what names a row, and what others refer to it by."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from batchops.bulk.children.graph import Component, Edge, Graph, name_of
from batchops.db.backend import Backend
from batchops.db.facts import TableName
from batchops.db.table import Table
from batchops.db.types import KeyValue
from batchops.errors import RefusedError

Row = tuple[Any, ...]
"""A row's values, in the order of its table's shape."""


@dataclass(frozen=True)
class Shape:
    """The columns that are read of a table's rows: `key` first, which names one."""

    table: Table
    key: tuple[str, ...]
    columns: tuple[str, ...]

    def key_of(self, row: Row) -> KeyValue:
        """What names the row."""
        return row[: len(self.key)]

    def values(self, rows: Iterable[Row], names: Sequence[str]) -> list[KeyValue]:
        """What the rows have in these columns, each once; without NULL, to which nothing refers."""
        places = [self.columns.index(name) for name in names]
        found = dict.fromkeys(tuple(row[place] for place in places) for row in rows)
        return [value for value in found if None not in value]


def index(shape: Shape, names: Sequence[str], rows: Iterable[Row]) -> dict[KeyValue, list[Row]]:
    """The rows by what they have in these columns."""
    places, found = [shape.columns.index(name) for name in names], dict[KeyValue, list[Row]]()
    for row in rows:
        found.setdefault(tuple(row[place] for place in places), []).append(row)
    return found


def shape_of(backend: Backend, graph: Graph, table: Table, key: tuple[str, ...] = ()) -> Shape:
    """The shape of a table from which rows are deleted. `key`: what names its rows; else its best key."""
    key = key or (table.keys[0].columns if table.keys else table.primary)
    if not key:
        hidden = backend.keys.row_id
        if hidden is None or table.kind == "partitioned":
            raise RefusedError(
                f'"{table.label}" has no key that names its rows, so what refers to them cannot be deleted first.',
                f"add a primary key to {table.label}, or leave it out with --stop-at.",
            )
        key = (hidden,)
    more = [name for edge in graph.to(table) for name in edge.referred]
    told = [edge for edge in graph.to(table) if edge.own and edge.action == "delete" and _told_apart(backend, edge)]
    own = [name for edge in told for name in edge.columns]
    return Shape(table, key, tuple(dict.fromkeys((*key, *more, *own))))


def _told_apart(backend: Backend, edge: Edge) -> bool:
    """Whether it matters which row refers to which: for the order in which they go, or for those that stay."""
    return edge.condition is not None or backend.foreign_keys.checks_each_row(edge.on_delete)


class FamilyShapes:
    """What the batches of a run need to know of a graph, found out once; RefusedError where rows cannot be named."""

    def __init__(self, backend: Backend, graph: Graph, key: tuple[str, ...]) -> None:
        """`key`: what names the rows of the root."""
        root = name_of(graph.root)
        self.graph = graph
        self._shapes = {
            name_of(table): shape_of(backend, graph, table, key if name_of(table) == root else ())
            for table in graph.tables
            if graph.to(table) or name_of(table) == root
        }
        self._components = {name_of(table): one for one in graph.components for table in one.tables}
        self.narrow = False
        """Whether rows that refer to each other looked like lines when they were read last."""
        self._into = {name: tuple(_into(graph, component)) for name, component in self._components.items()}

    def of(self, name: TableName) -> Shape:
        """The shape of a table to which others refer, or of the root."""
        return self._shapes[name]

    @property
    def root(self) -> Shape:
        return self.of(name_of(self.graph.root))

    def component(self, table: Table) -> Component:
        """The one that the table is of."""
        return self._components[name_of(table)]

    def into(self, component: Component) -> tuple[Edge, ...]:
        """The edges from other components, and those that set NULL or refuse, in the order they are cleared in."""
        return self._into[name_of(component.tables[0])]

    def leaf(self, table: Table) -> bool:
        """Whether nothing refers to its rows, so that they need not be read."""
        return name_of(table) not in self._shapes


def _into(graph: Graph, component: Component) -> list[Edge]:
    order = ("refuse", "delete", "null")
    edges = [edge for table in component.tables for edge in graph.to(table) if edge not in component.edges]
    return sorted(edges, key=lambda edge: order.index(edge.action))
