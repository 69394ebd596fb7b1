"""The throttle `active-per-cpu`: sessions of others that run a statement, for each CPU of the server."""

from batchops.throttles.kind import ThrottleKind
from batchops.throttles.units import FACTOR

KIND = ThrottleKind(
    name="active-per-cpu",
    text="sessions of others that run a statement now, for each CPU of the server",
    unit=FACTOR,
)
