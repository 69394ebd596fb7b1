"""The throttle `wal-size`: the part of SQLite's WAL that cannot be copied into the file because of a reader."""

from batchops.throttles.kind import ThrottleKind
from batchops.throttles.units import BYTES

KIND = ThrottleKind(
    name="wal-size",
    text="the part of SQLite's WAL that is not yet in the file, as a reader needs the file as it was",
    unit=BYTES,
)
