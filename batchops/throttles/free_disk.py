"""The throttle `free-disk`: the free space on the disk of the database's files."""

from batchops.throttles.kind import ThrottleKind
from batchops.throttles.units import BYTES

KIND = ThrottleKind(
    name="free-disk",
    text="waits while less than this is free on the disk of the database's files",
    unit=BYTES,
    below=True,
)
