"""The throttle `slot-lag`: WAL that the slowest consumer of a logical slot has not confirmed yet."""

from batchops.throttles.kind import ThrottleKind
from batchops.throttles.units import BYTES

KIND = ThrottleKind(
    name="slot-lag",
    text="WAL that the slowest consumer of a logical replication slot has yet to confirm",
    unit=BYTES,
)
