"""The handlers of a queue: one file for each kind."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.db.storable_text import spelled
from batchops.db.value_formats import as_json
from batchops.errors import BatchopsError, TransientError, UnreachableError
from batchops.runtime.stop import Stop

Values = Mapping[str, Any]
"""A row as a handler sees it: its columns by name."""


def json_line(row: Values) -> str:
    """A row as one line of JSON, each value exact, for handlers outside this process."""
    return as_json(dict(row))


@dataclass(frozen=True)
class Failed:
    """One row was not done, and why."""

    reason: str
    final: bool = False
    """Whether another attempt would only fail again."""
    after: float | None = None
    """Seconds until the next attempt, where the other side asked for that."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", spelled(self.reason))


@dataclass(frozen=True)
class Unmarked(Failed):
    """The database refuses the row's mark, whatever became of its work."""

    flag: str = ""
    """Which flag's it is; empty: the one that makes rows done."""


@dataclass(frozen=True)
class Unstarted:
    """Nobody began to work on the row."""


Result = Failed | Unstarted | None
"""None: done."""


class HandlerError(BatchopsError):
    """The handler itself is broken, whatever the rows are: nothing is marked, and the run ends."""


class HandlerLeftError(Exception):
    """A handler meant to end the process, as by sys.exit(): it failed for these rows, and the drain continues."""


class HandlerDownError(TransientError):
    """What the handler hands rows to does not answer, and has had none of them: no row is to blame."""


class HandlerLoginError(UnreachableError):
    """What the handler hands rows to refuses its credentials: no row is to blame, and waiting does not help."""


class Handler(Protocol):
    """Works on rows and tells of each what became of it; an exception means that none of them is done."""

    in_transaction: bool
    """Whether it works on the finalising transaction's own connection."""
    can_crash: bool
    """Whether a row can take the process along: then what was lost once is tried alone."""
    isolate_failed: bool
    """Whether one row's fault may fail the whole batch: then a row that failed once is tried alone."""

    def __call__(self, rows: Sequence[Values], connection: sa.Connection | None, stop: Stop) -> Sequence[Result]:
        """A result per row, in their order. What is not `can_crash` heeds `stop` by itself."""

    def open(self, key: Sequence[str], warn: Callable[[str], None]) -> None:
        """Called before the first batch: the columns that tell rows apart, and the listener for what is odd."""

    def close(self) -> None:
        """Release processes and connections; called again, it does nothing."""
