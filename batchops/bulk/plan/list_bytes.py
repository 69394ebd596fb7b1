"""How much disk a list of rows takes, and how much it may take."""

from batchops.bulk.plan.pinned import Pinned

MOST = 1 << 30
"""The most bytes that a list may take, unless the user allows more."""
SHARE = 4
"""A list may take a quarter of the free disk."""
_ROW, _KEY, _VALUE = 60, 24, 32
"""Bytes of a row with its proof, of a column of its key, and of a stored value: rough, for three databases."""


def list_bytes(pinned: Pinned, rows: int) -> int:
    """Return about how many bytes a list of `rows` rows takes, with its index."""
    return rows * (_ROW + _KEY * len(pinned.key) + _VALUE * len(pinned.stored))


def most_bytes(free: int | None) -> int:
    """Return how many bytes a list may take if `free` are left on the disk; None: unknown."""
    return MOST if free is None else min(MOST, free // SHARE)
