"""The handlers, which work on the rows of a queue: one file for each kind."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.db.storable_text import spelled
from batchops.db.value_formats import as_json
from batchops.errors import BatchopsError, TransientError, UnreachableError
from batchops.runtime.stop import Stop

Values = dict[str, Any]
"""A row in the form in which a handler gets it: its values by the name of the column. The handler may change it."""


def json_line(row: Values) -> str:
    """Return a row as one line of JSON with exact values, for a handler outside this process."""
    return as_json(row)


@dataclass(frozen=True)
class Failed:
    """The handler failed at a row, with the reason."""

    reason: str
    final: bool = False
    """Whether another attempt would only fail again."""
    after: float | None = None
    """Seconds until the next attempt, if the other side asked for that."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", spelled(self.reason))


@dataclass(frozen=True)
class Unmarked(Failed):
    """The database refused to mark the row. The handler may have done its work."""

    flag: str = ""
    """The flag that gave the refused mark; "" for the one that marks rows as done."""


@dataclass(frozen=True)
class Unstarted:
    """The handler did not begin to work on the row."""


Result = Failed | Unstarted | None
"""What became of a row. None: the handler has done its work."""


class HandlerError(BatchopsError):
    """The handler itself is broken, and no row is to blame: no row is marked, and the run ends."""


class HandlerLeftError(Exception):
    """A handler tried to end the process, as by sys.exit(). Its rows failed, and the drain continues."""


class HandlerDownError(TransientError):
    """The service that the handler sends rows to does not answer, and got none of them. No row is to blame."""


class HandlerLoginError(UnreachableError):
    """The service that the handler sends rows to refuses its credentials. No row is to blame; waiting does not help."""


class Handler(Protocol):
    """Works on rows, and returns for each what became of it. If it raises an exception, none of them is done."""

    in_transaction: bool
    """Whether the handler works on the connection of the finalising transaction."""
    can_crash: bool
    """Whether a row can crash the process. If so, a row whose lease was lost once is tried alone."""
    isolate_failed: bool
    """Whether one bad row may fail the whole batch. If so, a row that failed once is tried alone."""

    def __call__(self, rows: Sequence[Values], connection: sa.Connection | None, stop: Stop) -> Sequence[Result]:
        """Work on the rows, and return a result for each, in the same order.

        A handler that is not `can_crash` obeys `stop` by itself.
        """

    def open(self, key: Sequence[str], documents: Collection[str], warn: Callable[[str], None]) -> None:
        """Prepare for the first batch. `key` names the columns that identify a row, `documents` those with JSON.

        `warn` reports a warning.
        """

    def close(self) -> None:
        """Release processes and connections. A second call does nothing."""
