"""One step of the loop: what a batch is, for verbs that walk and for verbs that claim."""

from batchops.steps.claim import ClaimStep
from batchops.steps.held import HeldStep
from batchops.steps.outcome import Outcome
from batchops.steps.walk import WalkStep

__all__ = ["ClaimStep", "HeldStep", "Outcome", "WalkStep"]
