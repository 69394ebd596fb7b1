"""The graph of a purge with children: the tables that refer to its rows, and what happens along each foreign key."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from batchops.db.facts import TableName
from batchops.db.table import Table

EdgeAction = Literal["delete", "null", "refuse"]
STOPPED = "--stop-at"
"""The `why` of an edge that refuses because --stop-at leaves its child alone."""
ACTIONS: tuple[EdgeAction, ...] = ("delete", "null", "refuse")


def name_of(table: Table) -> TableName:
    """Schema and name, which tell a table from every other of its database."""
    return table.schema, table.name


@dataclass(frozen=True)
class Edge:
    """`columns` of `child` refer to `referred` of `parent`: a foreign key, or what --child declares."""

    child: Table
    columns: tuple[str, ...]
    parent: Table
    referred: tuple[str, ...]
    action: EdgeAction
    """What batchops does with the child's rows before their parent goes. `refuse`: a parent that has such rows stays,
    and is rejected."""
    why: str
    """Why this action: the catalogue's rule, --edge, --stop-at, or what keeps it from being chosen."""
    chosen: bool
    """Whether the action may be taken; else the plan refuses the run and names --edge."""
    on_delete: str = ""
    """The catalogue's own: CASCADE, NO ACTION, RESTRICT, SET NULL or SET DEFAULT; empty for a declared one."""
    constraint: str | None = None
    """Its name in the catalogue; None if it has none there."""
    declared: bool = False
    condition: str | None = None
    """SQL on the child that its rows must match too: `owner_type = 'Post'`. Only a declared edge has one."""
    nulls: tuple[str, ...] = ()
    """The columns that are set to NULL to keep a row or to break a circle; empty if that is not possible."""
    indexed: bool = True
    """Whether an index finds the child's rows by `columns`."""
    index: str | None = None
    """The CREATE INDEX that is missing; None if there is an index."""
    deferrable: bool = False
    """Whether a transaction may have it checked at COMMIT; never RESTRICT, which is checked at once."""
    deferred: bool = False
    """Whether it is checked at COMMIT by default, so that its error comes only then."""
    validated: bool = True
    """Whether the server guarantees that no row is an orphan."""
    enforced: bool = True
    """Whether the server itself enforces it."""

    @property
    def nullable(self) -> bool:
        return bool(self.nulls)

    @property
    def own(self) -> bool:
        """Whether the edge refers from a table to itself."""
        return name_of(self.child) == name_of(self.parent)

    @property
    def source(self) -> str:
        """Child and columns, for people: `orders.customer_id`, `lines.(order_id, position)`."""
        return f"{self.child.label}.{columns_text(self.columns)}"

    @property
    def label(self) -> str:
        """For people: `orders.customer_id -> customers.id`."""
        return f"{self.source} -> {self.parent.label}.{columns_text(self.referred)}"

    @property
    def name(self) -> str:
        """The constraint's name, else its label: what a rejected row names as its reason."""
        return self.constraint or self.label


@dataclass(frozen=True)
class Component:
    """Tables whose rows may refer to each other in a circle; or one table alone."""

    tables: tuple[Table, ...]
    """Deepest first, once `breaks` are nulled and `deferred` deferred."""
    edges: tuple[Edge, ...] = ()
    """Edges between these tables, along which rows are deleted; of a table to itself too."""
    breaks: tuple[Edge, ...] = ()
    """Those of `edges`, between two tables, that are set to NULL first, so that the others have an order."""
    deferred: tuple[Edge, ...] = ()
    """Those of `edges` that have no order and cannot be nulled, but can be deferred: all go in one transaction."""
    unbreakable: tuple[Edge, ...] = ()
    """The edges of a circle that cannot be broken. If there are any, the plan refuses the run."""

    @property
    def circular(self) -> bool:
        """Whether several tables refer to each other in a circle."""
        return len(self.tables) > 1

    @property
    def own(self) -> tuple[Edge, ...]:
        """The references of a table to itself. Its rows are deleted leaf first, in rounds."""
        return tuple(edge for edge in self.edges if edge.own)


@dataclass(frozen=True)
class Graph:
    """The tables that a purge of `root` reaches, and how."""

    root: Table
    edges: tuple[Edge, ...]
    """All edges, nearest to the root first; several may lead to one table."""
    components: tuple[Component, ...]
    """The tables whose rows are deleted, deepest first; the root is in the last one."""

    @cached_property
    def tables(self) -> tuple[Table, ...]:
        """The tables whose rows are deleted, deepest first: a table comes before those it refers to, circles aside."""
        return tuple(table for component in self.components for table in component.tables)

    @cached_property
    def changed(self) -> tuple[Table, ...]:
        """The tables whose rows are deleted or set to NULL; each once."""
        found = {name_of(table): table for table in self.tables}
        for edge in self.acting("null"):
            found.setdefault(name_of(edge.child), edge.child)
        return tuple(found.values())

    @cached_property
    def touched(self) -> tuple[Table, ...]:
        """The tables whose rows are deleted, set to NULL, or looked for because they keep a parent; each once."""
        found = {name_of(table): table for table in self.tables}
        return tuple(
            (found | {name_of(e.child): e.child for e in self.edges if name_of(e.child) not in found}).values()
        )

    def to(self, parent: Table) -> tuple[Edge, ...]:
        """Return the edges by which rows refer to the table."""
        return tuple(edge for edge in self.edges if name_of(edge.parent) == name_of(parent))

    def of(self, child: Table) -> tuple[Edge, ...]:
        """Return the edges by which the table's rows refer to others of the graph: the paths to it."""
        return tuple(edge for edge in self.edges if name_of(edge.child) == name_of(child))

    def acting(self, action: EdgeAction) -> Iterator[Edge]:
        """Return the edges with this action."""
        return (edge for edge in self.edges if edge.action == action)

    def component(self, table: Table) -> Component:
        """Return the component that contains the table; KeyError for a table from which nothing is deleted."""
        wanted = name_of(table)
        for component in self.components:
            if any(name_of(one) == wanted for one in component.tables):
                return component
        raise KeyError(table.label)

    @property
    def empty(self) -> bool:
        """Whether nothing refers to the root."""
        return not self.edges


def columns_text(columns: tuple[str, ...]) -> str:
    """Return the columns for people: one as it is, several in parentheses."""
    return columns[0] if len(columns) == 1 else f"({', '.join(columns)})"
