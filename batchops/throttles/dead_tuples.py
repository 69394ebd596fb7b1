"""The throttle `dead-tuples`: dead rows of the table that no VACUUM has cleaned up yet."""

from batchops.throttles.kind import ThrottleKind

KIND = ThrottleKind(
    name="dead-tuples",
    text="dead rows of the table by the statistics of the server",
)
