"""The throttle `flow-control`: how much of the time a Galera cluster kept its nodes from writing."""

from batchops.throttles.kind import ThrottleKind
from batchops.throttles.units import SHARE

KIND = ThrottleKind(
    name="flow-control",
    text="share of the last second for which Galera's flow control kept this node from writing",
    unit=SHARE,
)
