"""Whether a table takes the marks that its rows get: found out with one row before more are worked on."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import sqlalchemy as sa

from batchops.db.claims import Marked
from batchops.db.database import Database
from batchops.db.types import KeyValue
from batchops.errors import MarkRefusedError, RefusedError, RowRefusedError, TransientError
from batchops.queue.handlers import Failed, Result, Unmarked
from batchops.queue.leases import Leases
from batchops.queue.leases.row_lock import RowLocks
from batchops.queue.queue import Row
from batchops.runtime.stop import Stop


class Marks:
    """What has been seen of it; the workers of a process share one."""

    def __init__(self, flag: str) -> None:
        """`flag`: what makes rows done."""
        self._flag = flag
        self.taken = False
        """Whether a mark has been committed."""
        self.refusal: MarkRefusedError | None = None
        """Why the table takes none of them."""
        self.proved = False
        """Whether a row that was marked was seen to be pending no more."""
        self._trial = threading.Lock()

    @contextmanager
    def trial(self, stop: Stop) -> Iterator[bool]:
        """Whether it is this worker that finds out; any other one waits here until it is known."""
        mine = False
        while not (mine or self.taken or self.refusal or stop.asked):
            mine = self._trial.acquire(timeout=0.1)
        try:
            yield mine and not self.taken and self.refusal is None
        finally:
            if mine:
                self._trial.release()

    def prove(
        self, connection: sa.Connection, leases: Leases | RowLocks, asked: Sequence[KeyValue], marked: Marked
    ) -> None:
        """RefusedError where the first row stays pending all the same, RowRefusedError where it may be one of several.

        They would be worked on without end. `asked`: the rows that were to be marked, `marked`: those that were.
        """
        keys = list(marked.keys) if self.proved else asked
        if not keys or (self.proved and marked.pending is False):
            return
        if not leases.still_pending(connection, keys):
            self.proved = True
        elif self.proved or len(keys) > 1:  # by halves it is found which
            raise RowRefusedError("The row stays pending when it is marked: --where still holds for it.")
        else:
            raise RefusedError(
                "Rows stay pending when they are marked: --where still holds for them. Nothing was marked.",
                "set what --where asks for by --done and --failed.",
            )

    def judge(
        self, database: Database, leases: Leases | RowLocks, rows: Sequence[Row], results: Sequence[Result],
        name: Callable[[KeyValue], str],
    ) -> None:  # fmt: skip
        """What the end of a claim shows: a refusal of one row is that row's failure, one of all is the table's."""
        if results and not any(results):
            self.taken = True
            return
        refused = [row for row, one in zip(rows, results, strict=True) if isinstance(one, Unmarked)]
        if any(one is None for one in results):
            self.taken = True
        elif not refused and not any(isinstance(one, Failed) for one in results):
            return
        elif not refused:
            # Its work failed, so it was not marked: what the table would say is asked without any work.
            self.taken = self.taken or self._another_taken(database, leases, rows[0])
        elif len(refused) > 1 or not self._another_taken(database, leases, refused[0]):
            first = next(one for one in results if isinstance(one, Unmarked))
            self.refuse(first.flag or self._flag, first.reason, ", ".join(name(row.key) for row in refused[:3]))

    def _another_taken(self, database: Database, leases: Leases | RowLocks, row: Row) -> bool:
        """Whether another row can be marked; where there is none, whether any could so far."""
        try:
            with database.trying() as connection:
                taken = leases.takes_marks(connection, row.key, database.savepoint)
                return self.taken if taken is None else taken
        except TransientError:
            return True  # the next refusal will tell

    def refuse(self, flag: str, reason: str, names: str) -> None:
        """The table takes none of them: nobody claims any more."""
        text = reason.rstrip(".")
        self.refusal = MarkRefusedError(
            f"The table refuses {flag}: {text} ({names}).",
            f"let {flag} set what the table's constraints, types and triggers allow.",
        )
