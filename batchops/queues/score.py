"""What a verb adds up beside the counts that every verb has."""

import threading


class Score:
    """Counts by name, told by several workers."""

    def __init__(self, *names: str) -> None:
        self._counts: dict[str, int] = dict.fromkeys(names, 0)
        self._guard = threading.Lock()

    def add(self, **counts: int) -> None:
        """Add to some of the counts."""
        with self._guard:
            for name, count in counts.items():
                self._counts[name] += count

    def __getitem__(self, name: str) -> int:
        return self._counts[name]
