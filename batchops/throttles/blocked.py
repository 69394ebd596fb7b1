"""The throttle `blocked`: how long another session has been waiting for a lock that batchops holds."""

from batchops.throttles.kind import ThrottleKind
from batchops.throttles.units import SECONDS

KIND = ThrottleKind(
    name="blocked",
    text="how long another session has been waiting for a lock that batchops holds",
    unit=SECONDS,
    limit=1.0,
    by_default=True,
    wakes_after=0.5,
)
