"""What a run waits for between batches: one file for each throttle, and this registry of them."""

from batchops.throttles import blocked, file, http, load, query, replica_lag
from batchops.throttles.kind import ThrottleKind

THROTTLES: tuple[ThrottleKind, ...] = (
    replica_lag.KIND, blocked.KIND, load.KIND, file.KIND, query.KIND, http.KIND,
)  # fmt: skip
"""In the order in which people read of them."""
