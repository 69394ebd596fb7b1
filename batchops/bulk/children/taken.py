"""What the steps of a run need to know of the rows that it takes along."""

from dataclasses import dataclass, replace

from batchops.bulk.children.mark import Mark
from batchops.bulk.children.shape import FamilyShapes
from batchops.runtime.budget import Budget
from batchops.runtime.limits import Limits


@dataclass(frozen=True)
class ChildrenOfRun:
    """What a run knows of its graph."""

    shapes: FamilyShapes
    mark: Mark | None = None
    max_total: int | None = None
    """Rows of all tables after which the run ends."""
    all_match: bool = False
    """Whether each deleted row of the root matches, as in a plain purge of a table that refers to itself."""

    def limited(self, limits: Limits) -> Limits:
        """The limits, which count the parents and all rows apart."""
        return limits if self.all_match else replace(limits, total=Budget(self.max_total))
