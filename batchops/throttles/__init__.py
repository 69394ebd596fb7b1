"""What a run waits for between batches: one file for each throttle, and this registry of them."""

from batchops.throttles import file, http, load, query
from batchops.throttles.kind import ThrottleKind

THROTTLES: tuple[ThrottleKind, ...] = (load.KIND, file.KIND, query.KIND, http.KIND)
"""In the order in which people read of them."""
