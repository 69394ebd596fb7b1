"""The handler of `--exec`: runs a program once for each row, without a shell."""

import time
from collections.abc import Callable, Collection, Sequence

import sqlalchemy as sa

from batchops.queue.handlers import Failed, Result, Unstarted, Values, json_line
from batchops.queue.handlers.child_process import LAST_SECONDS, Child, Spawner, TimeLimit
from batchops.queue.handlers.program import argv_of
from batchops.runtime.stop import Stop

STDERR_BYTES = 8_192
"""Bytes at the end of stderr that are searched for the reason of a failure."""


class ExecHandler:
    """Starts a process for each row, with the row as JSON on its stdin. Exit code 0 means done."""

    in_transaction = False
    can_crash = False
    isolate_failed = False

    def __init__(self, command: str, deadline: float) -> None:
        self._argv = argv_of(command, "--exec")
        self._deadline = deadline
        self._spawner = Spawner()

    def __call__(
        self,
        rows: Sequence[Values],
        connection: sa.Connection | None,  # noqa: ARG002  the protocol's shape
        stop: Stop,
    ) -> Sequence[Result]:
        # Rows that no time is left for are released: the deadline holds for the whole batch.
        end = time.monotonic() + self._deadline / 2
        return [Unstarted() if stop.asked or time.monotonic() > end else self._one(row, stop) for row in rows]

    def open(self, key: Sequence[str], documents: Collection[str], warn: Callable[[str], None]) -> None:
        """Do nothing: this handler needs none of these."""

    def close(self) -> None:
        """End the thread that starts programs. Every program has ended with its row."""
        self._spawner.close()

    def _one(self, row: Values, stop: Stop) -> Result:
        try:
            child = self._spawner.start(self._argv, reads="stderr")
        except OSError as error:
            return Failed(f"{self._argv[0]} did not start: {error.strerror}")
        limit = TimeLimit(self._deadline / 2, stop)
        child.feed((json_line(row) + "\n").encode(), last=True)
        output = _stderr_tail(child, limit)
        if limit.passed:
            child.end(limit.left)
            return self._result_at_limit(child.code, limit, stop)
        if child.code == 0:
            child.leave()
            return None
        last = time.monotonic() + LAST_SECONDS
        child.end(lambda: last - time.monotonic())  # nothing of this attempt may run beside the next one
        return Failed(f"{_ended(child.code)}: {_last_line(output)}"[:400])

    def _result_at_limit(self, code: int, limit: TimeLimit, stop: Stop) -> Result:
        """Return what became of the row of a program that was told to end."""
        if limit.passed == "deadline":
            half = self._deadline / 2
            return Failed(f"{self._argv[0]} did not end within {half:g} s, half of --deadline, and was killed")
        if code == 0:  # it finished in the last seconds of the grace period
            return None
        stop.cut = True
        return Unstarted()


def _stderr_tail(child: Child, limit: TimeLimit) -> bytes:
    """Return the end of the program's stderr, read until the program ended or its time was over."""
    output = b""
    while not child.ended:
        pause = limit.look()
        if limit.passed:
            return output
        output = (output + child.wait_for_output(pause))[-STDERR_BYTES:]
    return (output + child.read_rest())[-STDERR_BYTES:]


def _ended(code: int) -> str:
    return f"exit {code}" if code > 0 else f"killed by signal {-code}"


def _last_line(output: bytes) -> str:
    return (output.decode(errors="replace").strip() or "it printed nothing").splitlines()[-1]
