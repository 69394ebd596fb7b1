"""The throttle `active-sessions`: sessions of others that run a statement."""

from batchops.throttles.kind import ThrottleKind

KIND = ThrottleKind(
    name="active-sessions",
    text="sessions of others that run a statement now",
)
