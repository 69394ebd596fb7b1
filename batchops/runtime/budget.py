"""Budget: how many rows or batches a run may still spend; each worker acquires from it before each batch."""

import threading


class Budget:
    """Ensures that no more than `most` rows or batches are acquired and used; None: no limit until one is set.

    A worker releases what its batch did not use.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._used = 0
        self._out = 0
        self._changed = threading.Condition()

    @property
    def most(self) -> int | None:
        """The limit; None if there is none."""
        return self._most

    @property
    def limited(self) -> bool:
        """Whether there is a limit."""
        return self._most is not None

    @property
    def spent(self) -> bool:
        """Whether nothing is left, and no worker can still release anything."""
        with self._changed:
            return self._left() == 0 and self._out == 0

    def limit(self, most: int | None) -> None:
        """Change the limit; what was acquired or used so far still counts."""
        with self._changed:
            self._most = most
            self._changed.notify_all()

    def acquire(self, most: int) -> int | None:
        """Acquire up to `most` and return how many; 0 if the budget is spent, None if there is no limit.

        Waits while other workers hold what is left, so it must not be called in a transaction. The caller gives the
        result back to `release`, whatever it is.
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
        """Give back what a batch acquired and count what it used."""
        with self._changed:
            self._out -= acquired or 0
            self._used += used
            self._changed.notify_all()

    def _left(self) -> int | None:
        return None if self._most is None else max(0, self._most - self._used - self._out)
