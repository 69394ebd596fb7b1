"""What the steps of a run need to know of the graph, to delete the rows that refer to its rows."""

from dataclasses import dataclass, replace

from batchops.bulk.children.mark import Mark
from batchops.bulk.children.shape import FamilyShapes
from batchops.runtime.budget import Budget
from batchops.runtime.limits import Limits


@dataclass(frozen=True)
class ChildrenOfRun:
    """What a run knows of its graph: the shapes, the mark and the limit."""

    shapes: FamilyShapes
    mark: Mark | None = None
    max_total: int | None = None
    """Rows of all tables after which the run ends."""
    whole: bool = False
    """Whether a family always goes in one transaction, however large it is."""
    all_match: bool = False
    """Whether every deleted row has to match, as in a plain purge of a table that refers to itself."""

    def limited(self, limits: Limits) -> Limits:
        """Return the limits with a budget of its own for the rows of all tables, if rows of children are deleted."""
        return limits if self.all_match else replace(limits, total=Budget(self.max_total))
