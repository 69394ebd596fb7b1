"""The columns that are read while a family is removed: those that identify a row, and those that others refer to."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from batchops.bulk.children.graph import Component, Edge, Graph, name_of
from batchops.db.backend import Backend
from batchops.db.facts import TableName
from batchops.db.table import Table
from batchops.db.types import KeyValue
from batchops.errors import RefusedError

_EXACT = re.compile(r"(small|medium|big|tiny)?int|uuid|bytea|\w*blob|(var)?binary|date|timestamp", re.IGNORECASE)
"""Types whose values are equal only if they are identical. A collation may treat two different texts as equal."""
Row = tuple[Any, ...]
"""A row's values, in the order of its table's shape."""


@dataclass(frozen=True)
class Shape:
    """The columns that are read of a table's rows: first `key`, which identifies a row, then the others."""

    table: Table
    key: tuple[str, ...]
    columns: tuple[str, ...]
    watched: tuple[str, ...] = ()
    """Further columns, by which rows refer to others of the table. They must be unchanged once a row is locked."""

    @property
    def whole(self) -> "Shape":
        """Return the shape that reads the watched columns too."""
        return replace(self, columns=self.columns + self.watched, watched=())

    def key_of(self, row: Row) -> KeyValue:
        """Return the key of the row."""
        return row[: len(self.key)]

    def values(self, rows: Iterable[Row], names: Sequence[str]) -> list[KeyValue]:
        """Return the distinct values of these columns in the rows, without those with NULL, to which nothing refers."""
        places = [self.columns.index(name) for name in names]
        found = dict.fromkeys(tuple(row[place] for place in places) for row in rows)
        return [value for value in found if None not in value]


def compares_exactly(table: Table, names: Iterable[str]) -> bool:
    """Whether the database never treats two different values of these columns as equal."""
    types = {column.name: column.stored for column in table.columns}
    return all(_EXACT.match(types[name]) for name in names if name in types)


def shape_of(backend: Backend, graph: Graph, table: Table, key: tuple[str, ...] = ()) -> Shape:
    """Return the shape of a table from which rows are deleted. `key` identifies its rows; if empty, the best key."""
    key = key or named_by(table)
    if not key:
        hidden = backend.keys.row_id(table)
        if hidden is None or not names_locked_rows(backend, graph, table):
            raise RefusedError(*no_key(graph, table, "has no primary key or unique index without NULLs"))
        key = (hidden,)
    more = [name for edge in graph.to(table) for name in edge.referred]
    own = [edge for edge in graph.to(table) if edge.own and edge.action == "delete"]
    told = [name for edge in own if _told_apart(backend, edge) for name in edge.columns]
    columns = tuple(dict.fromkeys((*key, *more, *told)))
    watched = dict.fromkeys(name for edge in own for name in edge.columns if name not in columns)
    return Shape(table, key, columns, tuple(watched))


def named_by(table: Table) -> tuple[str, ...]:
    """Return the columns that identify a row of the table permanently; empty if there are none."""
    return table.keys[0].columns if table.keys else table.primary


def set_again_by(table: Table) -> tuple[str, ...]:
    """Return the key by which a restore finds a row that stayed; empty if there is none without generated columns."""
    keys = (*(key.columns for key in table.keys), table.primary)
    return next((key for key in keys if key and {*key} <= {*table.writable_names}), ())


def _told_apart(backend: Backend, edge: Edge) -> bool:
    """Whether it matters which row refers to which: for the order of deletion, or to know which rows stay."""
    return edge.condition is not None or backend.foreign_keys.checks_each_row(edge.on_delete)


def names_locked_rows(backend: Backend, graph: Graph, table: Table) -> bool:
    """Whether a hidden column, such as ctid, can identify the rows of a table without a key.

    It can while the rows are locked, as nobody else moves them then. batchops itself must not move them either, by
    setting one of their references to NULL before it deletes them.
    """
    keys = backend.keys
    named = keys.row_id(table) is not None and table.kind == "table" and table.lockable and not table.keys
    return named and not (keys.row_id_moves and any(_set_before(backend, graph, table)))


def _set_before(backend: Backend, graph: Graph, table: Table) -> Iterator[Edge]:
    """Yield the references that batchops may set to NULL in rows of the table before it deletes them."""
    for edge in graph.of(table):
        each = edge.own and backend.foreign_keys.checks_each_row(edge.on_delete)
        if edge.nulls and (edge.action == "null" or each or edge in graph.component(table).breaks):
            yield edge


def no_key(graph: Graph, table: Table, reason: str) -> tuple[str, str]:
    """Return the message and the hint of an error: the rows of the table cannot be followed for this reason."""
    referring = ", ".join(sorted({edge.child.label for edge in graph.to(table)}))
    return (
        f'Table "{table.label}" {reason}, and rows of {referring} refer to it: which of these go with which of its own '
        "cannot be followed in batches.",
        f"add a primary key to {table.label}, or leave it out by --stop-at.",
    )


class FamilyShapes:
    """The shapes and components of a graph, computed once for all batches of a run.

    RefusedError if the rows of a table cannot be identified.
    """

    def __init__(self, backend: Backend, graph: Graph, key: tuple[str, ...]) -> None:
        """`key` identifies the rows of the root."""
        root = name_of(graph.root)
        self.graph = graph
        self._shapes = {
            name_of(table): shape_of(backend, graph, table, key if name_of(table) == root else ())
            for table in graph.tables
            if graph.to(table) or name_of(table) == root
        }
        self._components = {name_of(table): one for one in graph.components for table in one.tables}
        self.narrow = False
        """Whether rows that refer to each other formed chains, and no wide tree, when they were last read."""
        self._into = {name: tuple(_into(graph, component)) for name, component in self._components.items()}

    def of(self, name: TableName) -> Shape:
        """The shape of a table to which others refer, or of the root."""
        return self._shapes[name]

    @property
    def root(self) -> Shape:
        return self.of(name_of(self.graph.root))

    def component(self, table: Table) -> Component:
        """Return the component that contains the table."""
        return self._components[name_of(table)]

    def into(self, component: Component) -> tuple[Edge, ...]:
        """Return the edges from other components, and those that set NULL or refuse, in the order of clearing."""
        return self._into[name_of(component.tables[0])]

    def leaf(self, table: Table) -> bool:
        """Whether nothing refers to its rows, so that they need not be read."""
        return name_of(table) not in self._shapes


def _into(graph: Graph, component: Component) -> list[Edge]:
    order = ("refuse", "delete", "null")
    edges = [edge for table in component.tables for edge in graph.to(table) if edge not in component.edges]
    return sorted(edges, key=lambda edge: order.index(edge.action))
