"""A key halfway between two others, by the number in its first column."""

from batchops.db.types import KeyValue


def midpoint(low: KeyValue, high: KeyValue) -> int | None:
    """The whole number in the middle; None where there is none strictly between them."""
    try:
        first, last = int(low[0]), int(high[0])
    except (TypeError, ValueError):
        return None
    return (first + last) // 2 if last - first > 1 else None
