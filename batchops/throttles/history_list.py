"""The throttle `history-list`: old versions of rows that InnoDB keeps."""

from batchops.throttles.kind import ThrottleKind

KIND = ThrottleKind(
    name="history-list",
    text="length of InnoDB's history list: old versions of rows that are not yet cleared",
)
