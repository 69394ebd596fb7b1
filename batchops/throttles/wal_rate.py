"""The throttle `wal-rate`: how much WAL the server writes in a second."""

from batchops.throttles.kind import ThrottleKind
from batchops.throttles.units import BYTES_A_SECOND

KIND = ThrottleKind(
    name="wal-rate",
    text="WAL that the server writes in a second, for the run and for others",
    unit=BYTES_A_SECOND,
)
