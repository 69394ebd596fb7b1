"""The throttle `vacuum`: a VACUUM that is running on the table."""

from batchops.throttles.kind import ThrottleKind

KIND = ThrottleKind(
    name="vacuum",
    text="waits while autovacuum or VACUUM is at work on the table",
    limit=0.0,
)
