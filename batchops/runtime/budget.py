"""How many rows a run may still change, or batches it may do, acquired by every worker before each batch."""

import threading


class Budget:
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

    def acquire(self, most: int) -> int:
        """Up to that many; waits while others hold the last ones, outside any transaction. 0: all used."""
        with self._changed:
            while self._left == 0 and self._out > 0:
                self._changed.wait()
            acquired = min(most, self._left)
            self._left -= acquired
            self._out += acquired
            return acquired

    def release(self, acquired: int, used: int) -> None:
        """A batch that had drawn so many used so many."""
        with self._changed:
            self._out -= acquired
            self._left += acquired - used
            self._changed.notify_all()
