"""The throttle `archive-backlog`: WAL files that wait to be archived."""

from batchops.throttles.kind import ThrottleKind

KIND = ThrottleKind(
    name="archive-backlog",
    text="WAL files that wait to be archived",
)
