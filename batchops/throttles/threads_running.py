"""The throttle `threads-running`: threads of a MariaDB or MySQL server that run a statement."""

from batchops.throttles.kind import ThrottleKind

KIND = ThrottleKind(
    name="threads-running",
    text="threads of the server that run a statement now, without those of the run",
)
