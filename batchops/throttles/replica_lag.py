"""The throttle `replica-lag`: the lag of the replica that is furthest behind."""

from batchops.throttles.kind import ThrottleKind
from batchops.throttles.units import SECONDS

KIND = ThrottleKind(
    name="replica-lag",
    text="how far the slowest replica is behind",
    unit=SECONDS,
    limit=10.0,
    by_default=True,
    of_replicas=True,
)
