"""How many rows a run may still change, or batches it may do, drawn on by every lane before each batch."""

import threading


class Allowance:
    """Never more than `most` are out or used; what a batch did not use comes back."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._out = 0
        self._changed = threading.Condition()

    @property
    def spent(self) -> bool:
        """Whether none is left and none can come back."""
        with self._changed:
            return self._left == 0 and self._out == 0

    def draw(self, most: int) -> int:
        """Up to that many; waits while others hold the last ones, outside any transaction. 0: all used."""
        with self._changed:
            while self._left == 0 and self._out > 0:
                self._changed.wait()
            drawn = min(most, self._left)
            self._left -= drawn
            self._out += drawn
            return drawn

    def settle(self, drawn: int, used: int) -> None:
        """A batch that had drawn so many used so many."""
        with self._changed:
            self._out -= drawn
            self._left += drawn - used
            self._changed.notify_all()
