"""Circles of rows, which can only be deleted together: errors and warnings about circles that have to stay."""

from collections.abc import Iterable, Iterator, Sequence

from batchops.bulk.children.graph import Component, Edge
from batchops.bulk.children.shape import FamilyShapes
from batchops.db.facts import RESTRICT
from batchops.db.foreign_keys import NO_ACTION, ForeignKeys
from batchops.db.table import Table
from batchops.errors import LimitReachedError, RowRefusedError, TimedOutError
from batchops.runtime.batch_size import Share, Size


class CircleTooLargeError(Exception):
    """A batch may not hold a circle of rows, and no part of it can be deleted by itself."""

    def __init__(self, component: Component) -> None:
        super().__init__()
        self.component = component

    @property
    def what(self) -> str:
        """The rows that have to go together, for people."""
        return f"rows refer to each other in a circle by {', '.join(edge.name for edge in self.component.edges)}"


class FamilyTooLargeError(CircleTooLargeError):
    """A batch may not hold a row with all rows that refer to it, and no part of them may go by itself."""

    @property
    def what(self) -> str:
        return "it has to go at once with all rows that refer to it, a family"


def larger_than_may_be(circle: CircleTooLargeError, shapes: FamilyShapes, size: Size) -> RowRefusedError:
    """Return why the circle's parent is rejected; raise LimitReachedError if the next run may have more room."""
    what, limit = circle.what, _limit(circle, shapes, size)
    if limit is None:
        return RowRefusedError(f"{what} that is larger than a batch of {size.rows:,} rows: raise --batch-size")
    if not limit.whole:
        raise LimitReachedError(limit.limit)
    return RowRefusedError(f"{what} that is larger than --{limit.limit} {limit.of}: raise it")


def takes_too_long(error: TimedOutError, *, whole: bool) -> RowRefusedError:
    """Return why a parent is rejected whose circle, or with `whole` whose family, cannot go within one timeout."""
    what = "it has to go with all rows that refer to it" if whole else "rows refer to each other in a circle"
    return RowRefusedError(f"{what}, and to change them at once takes too long: {error.message}")


def _limit(circle: CircleTooLargeError, shapes: FamilyShapes, size: Size) -> Share | None:
    """Return the limit that leaves the circle too little room; None: the size of a batch does."""
    parents, root = size.parents, shapes.component(shapes.graph.root)
    # A family has one row of the root, unless rows of the root refer to each other.
    several = circle.component is root and (root.edges or not isinstance(circle, FamilyTooLargeError))
    if several and parents is not None and parents.rows < size.rows:
        return parents
    return size.cut


def holds_circles(edge: Edge, foreign_keys: ForeignKeys) -> bool:
    """Whether no row of a circle by this edge can be deleted first.

    The server then checks each row by itself, and the reference cannot be set to NULL.
    """
    keeps = edge.enforced and edge.on_delete in (RESTRICT, NO_ACTION)
    return edge.own and keeps and not edge.nulls and foreign_keys.checks_each_row(edge.on_delete)


def held(edge: Edge) -> RowRefusedError:
    """Return the error for rows of such a circle, which stay."""
    columns = ", ".join(edge.columns)
    return RowRefusedError(
        f"rows refer to each other in a circle, or to themselves, by {edge.name}: the server checks each row by "
        f"itself, and {columns} cannot be set to NULL"
    )


def held_warning(table: Table, columns: Sequence[str]) -> str:
    """Return the warning of the plan that rows of such circles stay, before any row is met."""
    return (
        f'Rows of "{table.label}" that refer to each other in a circle, or to themselves, by {", ".join(columns)} '
        "stay, and so do the rows that they hang on: the server checks each row by itself, and cannot set it to NULL."
    )


def warnings_of_circles(edges: Iterable[Edge], foreign_keys: ForeignKeys) -> Iterator[str]:
    """Yield a warning for each table of a graph that may have such circles."""
    for edge in edges:
        if edge.action == "delete" and holds_circles(edge, foreign_keys):
            yield held_warning(edge.child, edge.columns)
