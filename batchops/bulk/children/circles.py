"""Circles of rows, which can only be deleted together: the errors for a circle that does not fit into a batch."""

from batchops.bulk.children.graph import Component
from batchops.bulk.children.shape import FamilyShapes
from batchops.errors import LimitReachedError, RowRefusedError
from batchops.runtime.batch_size import Share, Size

AT_ONCE = "rows refer to each other in a circle, and to change them at once takes too long"


class CircleTooLargeError(Exception):
    """A batch may not hold a circle of rows, and no part of it can be deleted by itself."""

    def __init__(self, component: Component) -> None:
        super().__init__()
        self.component = component


def larger_than_may_be(circle: CircleTooLargeError, shapes: FamilyShapes, size: Size) -> RowRefusedError:
    """Return why the circle's parent is rejected; raise LimitReachedError if the next run may have more room."""
    names = ", ".join(edge.name for edge in circle.component.edges)
    what = f"rows refer to each other in a circle by {names}"
    limit = _limit(circle, shapes, size)
    if limit is None:
        return RowRefusedError(f"{what} that is larger than a batch of {size.rows:,} rows: raise --batch-size")
    if not limit.whole:
        raise LimitReachedError(limit.limit)
    return RowRefusedError(f"{what} that is larger than --{limit.limit} {limit.of}: raise it")


def _limit(circle: CircleTooLargeError, shapes: FamilyShapes, size: Size) -> Share | None:
    """Return the limit that leaves the circle too little room; None: the size of a batch does."""
    parents, of_root = size.parents, circle.component is shapes.component(shapes.graph.root)
    if of_root and parents is not None and parents.rows < size.rows:
        return parents
    return size.cut
