"""A connection that gives up on a server that has gone silent."""

import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg

T = TypeVar("T")


class WatchedConnection(psycopg.Connection[Any]):
    """Closes itself when one statement's answer, COMMIT's too, takes longer than `silence` seconds.

    The server ends statements that run too long. Where not even that is heard, the link is half open: TCP
    keeps it for hours, as a peer or proxy may go on acknowledging what nobody reads.
    """

    silence: float = 60.0

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **options: Any) -> T:
        """As psycopg's own, which wakes up several times a second in any case."""
        return super().wait(self._within(gen, time.monotonic() + self.silence), *args, **options)

    def _within(self, gen: Generator[Any, Any, T], deadline: float) -> Generator[Any, Any, T]:
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                wanted = gen.send(ready)
                if not ready and time.monotonic() > deadline:
                    self.close()
                    raise psycopg.OperationalError(f"no answer for {self.silence:g} s")
        except StopIteration as end:
            result: T = end.value
            return result
