"""The throttle `wal-size`: the part of SQLite's WAL that a reader keeps from being copied into the file."""

from batchops.throttles.kind import ThrottleKind
from batchops.throttles.units import BYTES

KIND = ThrottleKind(
    name="wal-size",
    text="the part of SQLite's WAL that is not yet in the file, as a reader needs the file as it was",
    unit=BYTES,
)
