"""What a drain adds up beside the counts that every verb has."""

import threading


class Score:
    """Rows claimed, failed attempts, dead letters, lost leases, rows handed back; told by several workers."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = dict.fromkeys(("claimed", "failed", "dead", "lost", "handed_back"), 0)
        self._guard = threading.Lock()

    def add(self, **counts: int) -> None:
        """Add to some of the counts."""
        with self._guard:
            for name, count in counts.items():
                self._counts[name] += count

    def __getitem__(self, name: str) -> int:
        return self._counts[name]
