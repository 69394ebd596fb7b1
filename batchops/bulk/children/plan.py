"""The graph of a purge as its plan shows it: a tree for people, a document for programs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from batchops.bulk.children.graph import Component, Edge, Graph, columns_text, name_of
from batchops.bulk.children.reached import Reached
from batchops.db.facts import TableName

_ACTIONS = {"null": "set NULL", "refuse": "keep the parent"}


@dataclass(frozen=True)
class ChildrenPlan:
    """The graph, with the rows along each edge."""

    graph: Graph
    root: Reached
    reached: tuple[Reached, ...]
    removed: str = "delete"
    """The word for what happens to a row that is deleted: an archive copies it first."""

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yield the tree of the graph, as names and texts for people."""
        if self.graph.empty:
            yield "children", f'none: nothing refers to "{self.graph.root.label}"'
            return
        lines = list(_lines(self))
        widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]) - 1)]
        for i, line in enumerate(lines):
            padded = (text.ljust(width) for text, width in zip(line, widths, strict=False))
            yield "" if i else "children", "  ".join([*padded, line[-1]]).rstrip()
        yield "in all", self.total
        for component in self.graph.components:
            yield from (("circle", text) for text in _circle(component))
        yield from (("index", f"{edge.index};") for edge in self.graph.edges if edge.index is not None)

    @property
    def others(self) -> int:
        """How many rows of other tables change too, as far as they were counted or estimated."""
        return sum(one.rows or 0 for one in self.reached)

    @property
    def total(self) -> str:
        """A text for people: how many rows of how many tables change."""
        counts = (self.root, *self.reached)
        number = sum(one.rows or 0 for one in counts)
        exact = all(one.counted and not one.capped for one in counts)
        again = any(len(self.graph.of(table)) > 1 for table in self.graph.touched)
        unknown = any(one.rows is None for one in counts) or self._goes_deeper
        about = "about " if unknown and again else "at least " if unknown else "about " if not exact else ""
        about = about or ("up to " if again else "")
        tables = len(self.graph.touched)
        return f"{about}{number:,} rows of {tables:,} {'table' if tables == 1 else 'tables'}"

    @property
    def _goes_deeper(self) -> bool:
        """Whether rows below the counted ones are deleted too: in circles, and below a table's references to itself."""
        graph = self.graph
        counts = dict(zip(map(id, graph.edges), self.reached, strict=True))
        circles = [edge for component in graph.components if component.circular for edge in component.edges]
        own = [edge for component in graph.components for edge in component.own if len(graph.to(edge.parent)) > 1]
        return any(counts[id(edge)].rows for edge in (*circles, *own))

    @property
    def question(self) -> str:
        """What the question to the user says of the children."""
        others = len(self.graph.touched) - 1
        return f"their rows in {others:,} other {'table' if others == 1 else 'tables'}"

    def document(self) -> dict[str, Any]:
        """Return the plan for programs."""
        return {
            "edges": [
                _edge_document(edge) | one.document() for edge, one in zip(self.graph.edges, self.reached, strict=True)
            ],
            "order": [table.label for table in self.graph.tables],
            "circles": [
                {
                    "tables": [table.label for table in component.tables],
                    "nulled_first": [edge.source for edge in component.breaks],
                    "deferred": [edge.source for edge in component.deferred],
                    "rounds": [edge.source for edge in component.own],
                    "unbreakable": [edge.source for edge in component.unbreakable],
                }
                for component in self.graph.components
                if component.edges
            ],
            "total": self.total,
            "root_rows": self.root.rows,
        }


def _edge_document(edge: Edge) -> dict[str, Any]:
    return {
        "table": edge.child.label,
        "columns": list(edge.columns),
        "parent": edge.parent.label,
        "referred": list(edge.referred),
        "constraint": edge.constraint,
        "condition": edge.condition,
        "on_delete": edge.on_delete or None,
        "action": edge.action if edge.chosen else None,
        "why": edge.why,
        "indexed": edge.indexed,
        "index": edge.index,
        "deferrable": edge.deferrable,
        "validated": edge.validated,
        "enforced": edge.enforced,
    }


def _lines(plan: ChildrenPlan) -> Iterator[tuple[str, str, str, str]]:
    """Yield a line for the root and for each edge: its place in the tree, its rows, what happens, and why."""
    graph = plan.graph
    counts = dict(zip(map(id, graph.edges), plan.reached, strict=True))
    yield graph.root.label, plan.root.text, plan.removed, "the rows themselves, last"
    shown: set[TableName] = {name_of(graph.root)}
    waiting = [(edge, "", edge is graph.to(graph.root)[-1]) for edge in reversed(graph.to(graph.root))]
    while waiting:
        edge, before, last = waiting.pop()
        place = f"{before}{'└─ ' if last else '├─ '}{edge.child.label} by {columns_text(edge.columns)}"
        action = _ACTIONS.get(edge.action, plan.removed) if edge.chosen else "refused"
        yield place, counts[id(edge)].text, action, _remarks(edge, graph)
        if edge.action != "delete" or name_of(edge.child) in shown:
            continue
        shown.add(name_of(edge.child))
        below = graph.to(edge.child)
        deeper = before + ("   " if last else "│  ")
        waiting += [(one, deeper, one is below[-1]) for one in reversed(below)]


def _remarks(edge: Edge, graph: Graph) -> str:
    remarks = [edge.why.removeprefix("ON DELETE ")]
    if edge.condition is not None:
        remarks.append(f"where {edge.condition}")
    if not edge.indexed:
        remarks.append("no index")
    if edge.own and edge.action == "delete":
        remarks.append("leaf first, in rounds")
    elif edge.action == "delete":
        component = graph.component(edge.child)
        marks: Mapping[str, tuple[Edge, ...]] = {
            "circle: nulled first": component.breaks,
            "circle: deferred": component.deferred,
            "circle: nothing breaks it": component.unbreakable,
        }
        mark = next((name for name, edges in marks.items() if edge in edges), "")
        inside = not mark and component.circular and edge in component.edges
        remarks += [mark] if mark else ["in a circle"] if inside else []
    return ", ".join(remarks)


def _circle(component: Component) -> Iterator[str]:
    if not component.circular:
        return
    tables = ", ".join(table.label for table in component.tables)
    if component.unbreakable:
        yield f"{tables}: no column of it can be NULL and no constraint of it can be deferred"
        return
    ways = [f"{edge.source} is set to NULL first" for edge in component.breaks]
    ways += [f"{edge.name} is deferred to COMMIT" for edge in component.deferred]
    yield f"{tables}: {', '.join(ways)}"
