"""One step of the loop: what a batch is, for verbs that walk, that claim and that relay."""

from batchops.steps.claim import ClaimStep
from batchops.steps.held import HeldStep
from batchops.steps.outcome import Outcome
from batchops.steps.relay import RelayStep
from batchops.steps.walk import WalkStep

__all__ = ["ClaimStep", "HeldStep", "Outcome", "RelayStep", "WalkStep"]
