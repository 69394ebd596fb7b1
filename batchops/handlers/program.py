"""`--exec`: a program run once a row, without a shell."""

import shlex
import shutil
import subprocess
import time
from collections.abc import Sequence

import sqlalchemy as sa

from batchops.errors import UsageError
from batchops.handlers import Failed, Result, Stopping, Unstarted, Values
from batchops.handlers.lines import line


def argv_of(command: str, flag: str) -> list[str]:
    """The words of a command whose program is there; UsageError for any other."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"{flag}: {error}.", "quotes must be closed; no shell is used.") from error
    if not words:
        raise UsageError(f"{flag}: the command is empty.")
    if shutil.which(words[0]) is None:
        raise UsageError(
            f'{flag}: there is no program "{words[0]}".', "no shell is used: pipes and variables do not work."
        )
    return words


class EachRow:
    """One process a row: the row as JSON on its stdin; exit 0 is done."""

    inside = False
    deadly = False

    def __init__(self, command: str, deadline: float) -> None:
        self._argv = argv_of(command, "--exec")
        self._deadline = deadline

    def __call__(
        self,
        rows: Sequence[Values],
        connection: sa.Connection | None,  # noqa: ARG002  the protocol's shape
        stopping: Stopping,
    ) -> Sequence[Result]:
        # What there is no time for is handed back: the deadline is the whole batch's.
        end = time.monotonic() + self._deadline / 2
        return [Unstarted() if stopping() or time.monotonic() > end else self._one(row) for row in rows]

    def close(self) -> None:
        """Every process has ended with its row."""

    def _one(self, row: Values) -> Result:
        try:
            # A session of its own: a Ctrl-C at the terminal is ours to answer, not the program's.
            done = subprocess.run(
                self._argv, input=(line(row) + "\n").encode(), capture_output=True, timeout=self._deadline / 2,
                check=False, start_new_session=True,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Failed(
                f"{self._argv[0]} did not end within {self._deadline / 2:g} s, half of --deadline, and was killed"
            )
        except OSError as error:
            return Failed(f"{self._argv[0]} did not start: {error.strerror}")
        if done.returncode == 0:
            return None
        last = (done.stderr.decode(errors="replace").strip() or "it said nothing").splitlines()[-1]
        ended = f"exit {done.returncode}" if done.returncode > 0 else f"killed by signal {-done.returncode}"
        return Failed(f"{ended}: {last}"[:400])
