"""What a run waits for between batches: one file for each throttle, and this registry of them."""

from batchops.throttles import load
from batchops.throttles.kind import ThrottleKind

THROTTLES: tuple[ThrottleKind, ...] = (load.KIND,)
"""In the order in which people read of them."""
