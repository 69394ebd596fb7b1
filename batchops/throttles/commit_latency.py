"""The throttle `commit-latency`: how long those COMMITs of the run take that wait for the disk."""

from batchops.throttles.kind import ThrottleKind
from batchops.throttles.units import SECONDS

KIND = ThrottleKind(
    name="commit-latency",
    text="how long COMMITs of the run took that wait for the disk, on average over 6 seconds",
    unit=SECONDS,
)
