"""Finds out with one row whether a table accepts the marks of its rows, before more rows are worked on."""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
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
    """What is known about the table's marks. The workers of a process share one object."""

    def __init__(self, flag: str) -> None:
        """`flag`: the flag that marks rows as done, for messages."""
        self._flag = flag
        self.taken = False
        """Whether a mark has been committed."""
        self.refusal: MarkRefusedError | None = None
        """Why the table refuses every mark; None as long as it does not."""
        self.proved = False
        """Whether a row was seen to be no longer pending after its mark."""
        self._trial = threading.Lock()

    @contextmanager
    def trial(self, stop: Stop) -> Iterator[bool]:
        """Yield whether this worker makes the trial. Other workers wait here for its result."""
        mine = False
        while not (mine or self.taken or self.refusal or stop.asked):
            mine = self._trial.acquire(timeout=0.1)
        try:
            yield mine and not self.taken and self.refusal is None
        finally:
            if mine:
                self._trial.release()

    def prove(
        self, connection: sa.Connection, leases: Leases | RowLocks, token: str, asked: Sequence[KeyValue],
        marked: Marked,
    ) -> Collection[KeyValue]:  # fmt: skip
        """Return the keys of `marked`, of the rows `asked` to be marked for `token`.

        Raise RefusedError if the first marked row stays pending, RowRefusedError if one of several does: such rows
        would be worked on endlessly. A row that another worker has taken meanwhile proves nothing.
        """
        keys = list(marked.keys)
        if self.proved and (not keys or marked.pending is False):
            return marked.keys
        others = [] if self.proved else list(set(asked).difference(keys))
        stays = bool(keys) and leases.still_pending(connection, keys)
        if not stays and not (others and leases.vetoed(connection, token, others)):
            self.proved = self.proved or bool(keys)
            return marked.keys
        if self.proved or len(asked) > 1:  # the caller halves the rows to find it
            raise RowRefusedError("The row stays pending when it is marked: --where still holds for it.")
        raise RefusedError(
            "Rows stay pending when they are marked: --where still holds for them. Nothing was marked.",
            "set what --where asks for by --done and --failed.",
        )

    def judge(
        self, database: Database, leases: Leases | RowLocks, rows: Sequence[Row], results: Sequence[Result],
        name: Callable[[KeyValue], str],
    ) -> None:  # fmt: skip
        """Decide from the results of a claim whether the table refuses every mark, or that of single rows only."""
        if results and not any(results):
            self.taken = True
            return
        refused = [row for row, one in zip(rows, results, strict=True) if isinstance(one, Unmarked)]
        if any(one is None for one in results):
            self.taken = True
        elif not refused and not any(isinstance(one, Failed) for one in results):
            return
        elif not refused:
            # The row's work failed, so it was not marked: try the mark of another row without any work.
            self.taken = self.taken or self._another_taken(database, leases, rows[0])
        elif len(refused) > 1 or not self._another_taken(database, leases, refused[0]):
            first = next(one for one in results if isinstance(one, Unmarked))
            self.refuse(first.flag or self._flag, first.reason, ", ".join(name(row.key) for row in refused[:3]))

    def _another_taken(self, database: Database, leases: Leases | RowLocks, row: Row) -> bool:
        """Whether another row can be marked; if there is no other row, whether any was marked so far."""
        try:
            with database.trying() as connection:
                taken = leases.takes_marks(connection, row.key, database.savepoint)
                return self.taken if taken is None else taken
        except TransientError:
            return True  # the next refusal decides

    def refuse(self, flag: str, reason: str, names: str) -> None:
        """Record that the table refuses every mark: no worker claims any more."""
        text = reason.rstrip(".")
        self.refusal = MarkRefusedError(
            f"The table refuses {flag}: {text} ({names}).",
            f"let {flag} set what the table's constraints, types and triggers allow.",
        )
