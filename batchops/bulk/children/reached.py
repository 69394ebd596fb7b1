"""How many rows a purge reaches along each edge: counted up to a cap within a short time, else estimated."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from batchops.bulk.children.graph import Edge, Graph, name_of
from batchops.bulk.children.order import depths
from batchops.db.database import Database
from batchops.db.facts import TableName
from batchops.db.table import quoted
from batchops.sql.selection import Selection, user_sql

CAP = 100_000
"""The most rows that are counted for one edge if the user did not ask for counts."""
EACH, ALTOGETHER = 0.3, 3.0
"""Seconds that counting may take if the user did not ask for counts: for one edge, and for all."""
DEEP = 6
"""How many edges deep rows are counted: a server takes long to plan a statement over many tables."""


@dataclass(frozen=True)
class Reached:
    """How many rows of the child an edge reaches."""

    rows: int | None
    """None if it is unknown."""
    counted: bool
    capped: bool = False
    """Whether there are more than were counted."""

    @property
    def text(self) -> str:
        """The number of rows for people."""
        if self.rows is None:
            return "rows unknown"
        many = f"{self.rows:,} {'row' if self.rows == 1 else 'rows'}"
        if self.capped:
            return f"more than {many}"
        return many if self.counted else f"about {many}"

    def document(self) -> dict[str, object]:
        """Return the number of rows for programs."""
        return {"rows": self.rows, "counted": self.counted and not self.capped}


NONE = Reached(0, counted=True)


@dataclass(frozen=True)
class Counting:
    """What the counting needs to know: the root's rows, and how long it may take."""

    connection: sa.Connection
    database: Database
    selection: Selection | None
    """The root's rows; None if they are in a list that the server does not have."""
    root_rows: int | None
    """How many rows of the root there are, by the plan's estimate or by the list."""
    seconds: float | None
    """Seconds for one edge, without any cap, if the user asked for counts; else None."""


def rows_reached(graph: Graph, counting: Counting) -> tuple[Reached, tuple[Reached, ...]]:
    """Return how many rows the root has, and how many each edge reaches, in the order of the edges.

    If several paths lead to an edge's parent, only the shortest is counted: this is a first look for the plan.
    """
    until = time.monotonic() + ALTOGETHER
    root = _root(counting)
    paths: dict[TableName, Edge] = {}
    found = {name_of(graph.root): root}
    depth = depths(graph.root, graph.edges)
    results = []
    for edge in graph.edges:
        late = counting.seconds is None and time.monotonic() > until
        guess = late or depth[name_of(edge.parent)] >= DEEP
        parents = found.get(name_of(edge.parent), Reached(None, counted=False))
        rows = None if counting.selection is None or guess else rows_along(edge, graph, paths, counting.selection)
        counted = NONE if parents == NONE else None if rows is None else _counted(rows, counting)
        result = counted or _estimated(edge, parents)
        results.append(result)
        if edge.action == "delete" and name_of(edge.child) != name_of(graph.root):
            paths.setdefault(name_of(edge.child), edge)
            found.setdefault(name_of(edge.child), result)
    return root, tuple(results)


def _root(counting: Counting) -> Reached:
    if counting.selection is None:
        return Reached(counting.root_rows, counted=True)
    table = counting.selection.table
    rows: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(table.called)
    counted = _counted(table.alone(rows).where(counting.selection.clause), counting)
    return counted or Reached(counting.root_rows, counted=False)


def _counted(rows: sa.Select[Any], counting: Counting) -> Reached | None:
    asked, facts = counting.seconds is not None, counting.database.backend.facts
    limited = rows if asked else rows.limit(CAP + 1)
    number = facts.count_within(counting.connection, limited, counting.seconds or EACH)
    if number is None:
        return None
    return Reached(CAP, counted=True, capped=True) if number > CAP and not asked else Reached(number, counted=True)


def _estimated(edge: Edge, parents: Reached) -> Reached:
    """Estimate the rows from the tables' statistics, with the average number of rows for each parent."""
    all_parents, all_rows = edge.parent.rows, edge.child.rows
    if all_rows is None or parents.rows is None or not all_parents:
        return Reached(all_rows, counted=False)
    return Reached(min(all_rows, round(parents.rows * all_rows / all_parents)), counted=False)


def rows_along(edge: Edge, graph: Graph, paths: Mapping[TableName, Edge], selection: Selection) -> sa.Select[Any]:
    """Return a SELECT of the child's rows that refer to the root's rows along the paths and the edge.

    If the edge refers from a table to itself and deletes, it selects the rows of all levels.
    """
    parents = _parents(edge, graph, paths, selection)
    one: sa.ColumnElement[object] = sa.literal_column("1")
    if not edge.own or edge.action != "delete":
        return _referring(edge, parents, [one])
    child = edge.child.clause
    first = _referring(edge, parents, [child.c[quoted(name)] for name in edge.referred]).cte(
        "batchops_below", recursive=True
    )
    lower = child.alias("batchops_lower")
    pairs = [lower.c[quoted(name)] == column for name, column in zip(edge.columns, first.c, strict=True)]
    below = first.union(sa.select(*(lower.c[quoted(name)] for name in edge.referred)).where(*pairs))
    return sa.select(one).select_from(below)


def _parents(edge: Edge, graph: Graph, paths: Mapping[TableName, Edge], selection: Selection) -> sa.Select[Any]:
    """Return a SELECT of the values that the edge's columns must be among."""
    if name_of(edge.parent) == name_of(graph.root) or name_of(edge.parent) not in paths:
        root = selection.table
        referred = [root.called.c[quoted(name)] for name in edge.referred]
        found: sa.Select[Any] = sa.select(*referred).select_from(root.called)
        return root.alone(found).where(selection.clause)
    above = paths[name_of(edge.parent)]
    wanted = [above.child.clause.c[quoted(name)] for name in edge.referred]
    return _referring(above, _parents(above, graph, paths, selection), wanted)


def _referring(
    edge: Edge, parents: sa.Select[Any], wanted: Sequence[sa.ColumnElement[object]]
) -> sa.Select[Any]:  # fmt: skip
    child = edge.child.clause
    own = [child.c[quoted(name)] for name in edge.columns]
    among = own[0].in_(parents) if len(own) == 1 else sa.tuple_(*own).in_(parents)
    also = sa.true() if edge.condition is None else user_sql(f"({edge.condition})")
    rows: sa.Select[Any] = sa.select(*wanted).select_from(child).where(among, also)  # type: ignore[assignment]  # of any columns
    return rows
