"""The throttle `xmin-age`: the age in transactions of the oldest snapshot, which keeps dead rows on the disk."""

from batchops.throttles.kind import ThrottleKind

KIND = ThrottleKind(
    name="xmin-age",
    text="age in transactions of the oldest snapshot of another session, slot or prepared transaction",
)
