"""How many rows a run may still change, or batches it may do, acquired by every worker before each batch."""

import threading


class Budget:
    """Never more than `most` are out or used; what a batch did not use comes back. None: no limit, until one is set."""

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._used = 0
        self._out = 0
        self._changed = threading.Condition()

    @property
    def limited(self) -> bool:
        """Whether there is a limit."""
        return self._most is not None

    @property
    def spent(self) -> bool:
        """Whether none is left and none can come back."""
        with self._changed:
            return self._left() == 0 and self._out == 0

    def limit(self, most: int | None) -> None:
        """Set another limit; what is out stays out, and what was used counts."""
        with self._changed:
            self._most = most
            self._changed.notify_all()

    def acquire(self, most: int) -> int | None:
        """Up to that many; waits while others hold the last ones, outside any transaction. 0: all used; None: no limit.

        What is acquired goes back by `release`, whichever it is.
        """
        with self._changed:
            while self._left() == 0 and self._out > 0:
                self._changed.wait()
            left = self._left()
            if left is None:
                return None
            acquired = min(most, left)
            self._out += acquired
            return acquired

    def release(self, acquired: int | None, used: int) -> None:
        """A batch that had drawn so many used so many."""
        with self._changed:
            self._out -= acquired or 0
            self._used += used
            self._changed.notify_all()

    def _left(self) -> int | None:
        return None if self._most is None else max(0, self._most - self._used - self._out)
