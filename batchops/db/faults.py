"""The faults of a database, independent of drivers, and the error that each becomes."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple, Protocol

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.db.table import Table
from batchops.db.types import KeyValue
from batchops.errors import (
    BatchopsError,
    ConnectionLostError,
    DeniedError,
    IntegrityError,
    LockTimeoutError,
    MissingCodeError,
    NotFoundError,
    OutcomeUnknownError,
    RefusedError,
    RowRefusedError,
    TimedOutError,
    TransientError,
    UnreachableError,
    UsageError,
)

_LONGEST = 400


class Fault(Enum):
    """The kinds of failure; each database's `classify` says which one a driver's error is."""

    TRANSIENT = auto()
    """Nothing was applied, and a retry may succeed: deadlock, serialization failure, busy file, too many connections,
    full disk."""
    LOCK_TIMEOUT = auto()
    TIMED_OUT = auto()
    """The statement ran too long, or was cancelled; only the caller can know by whom."""
    CONNECTION_LOST = auto()
    OUTCOME_UNKNOWN = auto()
    """The server itself cannot say whether it committed. A connection lost in COMMIT is for the caller to notice."""
    WRONG_NODE = auto()
    """The session is on a server that may not write now; another server may."""
    ROW_REFUSED = auto()
    DENIED = auto()
    READ_ONLY = auto()
    UNREACHABLE = auto()
    """No server answers at the address; it may start later."""
    LOGIN = auto()
    """The server answers and refuses the login: wrong password, role or database."""
    NO_TABLE = auto()
    NO_COLUMN = auto()
    STATEMENT = auto()
    """The server does not understand the statement: its syntax, a function or types."""
    SEVERAL_ROWS = auto()
    """A sub-select that stands for one value returns several rows; some servers take the first."""
    MISSING_CODE = auto()
    """The statement needs a function or collation that only the application defines (SQLite)."""
    SCHEMA = auto()
    """The table is no longer what it was when the run began."""
    CORRUPT = auto()
    OTHER = auto()


TOGETHER = 50
"""The most rows that `Faults.refuses_each` takes in one statement: MySQL keeps 64 warnings."""


@dataclass(frozen=True)
class RefusedRow:
    """The row that caused a refusal, if the server reports it."""

    place: int
    """Its index in the list of rows that the statement was for."""
    certain: bool
    """Whether the server named the row. Otherwise it only told how many rows, in its own order, came before it."""


class Faults(Protocol):
    """What one database's errors mean."""

    def classify(self, error: BaseException) -> Fault:
        """Return the fault that a driver's error stands for."""

    def message(self, error: BaseException) -> str:
        """Return the server's message, without rows or SQL."""

    def refused_row(
        self,
        connection: sa.Connection,
        error: BaseException,
        table: Table,
        names: Sequence[str],
        keys: Sequence[KeyValue],
    ) -> RefusedRow | None:
        """Return the row that made the server refuse the last statement; None where it does not say.

        The statement was for the rows whose columns `names` have one of `keys`.
        """

    def refuses_each(
        self, connection: sa.Connection, update: sa.Update, rows: int, table: Table, names: Sequence[str], /
    ) -> bool:
        """Whether the server refuses each one of the `rows` rows of the UPDATE, by a constraint of the table.

        `names` is a key of the table; `rows` is at most TOGETHER. False where the server accepts a row, or where that
        cannot be asked; the driver's own error for anything else. The caller rolls back what the question changed.
        """


class _Meaning(NamedTuple):
    error: type[BatchopsError]
    happened: str
    hint: str


_LONGER = "find out what it waits for; a smaller --batch-size or a longer --statement-timeout may help."
_AGAIN = "nothing of this batch was applied; try again later."
_MEANINGS = {
    Fault.TRANSIENT: _Meaning(TransientError, "The database cannot do it now", _AGAIN),
    Fault.LOCK_TIMEOUT: _Meaning(
        LockTimeoutError,
        "Rows are locked by another session",
        "see which session holds the lock, or try again later.",
    ),
    Fault.TIMED_OUT: _Meaning(TimedOutError, "The statement ran too long", _LONGER),
    Fault.CONNECTION_LOST: _Meaning(ConnectionLostError, "The connection to the database is lost", _AGAIN),
    Fault.OUTCOME_UNKNOWN: _Meaning(
        OutcomeUnknownError,
        "The connection was lost during COMMIT, so it is unknown whether the batch was applied",
        "run the same command again: it finds out before it changes anything.",
    ),
    Fault.WRONG_NODE: _Meaning(
        ConnectionLostError,
        "This server may no longer write",
        "another server may be the primary now; try again later.",
    ),
    Fault.ROW_REFUSED: _Meaning(RowRefusedError, "The database refuses a row", ""),
    Fault.DENIED: _Meaning(DeniedError, "The role lacks a right", "grant it, or connect as another role."),
    Fault.READ_ONLY: _Meaning(
        RefusedError, "The database is read-only", "connect to the primary, or to a file that may be written."
    ),
    Fault.UNREACHABLE: _Meaning(
        UnreachableError,
        "Cannot connect",
        "check host, port or file in the database URL, and that the server runs.",
    ),
    Fault.LOGIN: _Meaning(
        UnreachableError,
        "The server refuses the connection",
        "check user, password and database name in the URL.",
    ),
    Fault.NO_TABLE: _Meaning(NotFoundError, "No such table", "check its name and schema."),
    Fault.MISSING_CODE: _Meaning(
        MissingCodeError,
        "The table needs a function that only its application defines",
        "a trigger or an index calls it; run the job where the application defines it.",
    ),
    Fault.NO_COLUMN: _Meaning(UsageError, "No such column", "check the names in the condition and in --set."),
    Fault.STATEMENT: _Meaning(
        UsageError, "The database does not understand the statement", "check the condition and --set."
    ),
    Fault.SEVERAL_ROWS: _Meaning(
        UsageError,
        "A sub-select returns several rows where one value is needed",
        "compare with IN (SELECT …), or let it return one row: max(…), LIMIT 1.",
    ),
    Fault.SCHEMA: _Meaning(
        IntegrityError, "The table was altered during the run", "find out what altered it before you run this again."
    ),
    Fault.CORRUPT: _Meaning(
        IntegrityError,
        "The database reports damage or an internal error",
        "look at the server's log first.",
    ),
    Fault.OTHER: _Meaning(BatchopsError, "The database reports an error", ""),
}
_UNDERWAY = {
    Fault.NO_TABLE: Fault.SCHEMA,
    Fault.NO_COLUMN: Fault.SCHEMA,
    Fault.STATEMENT: Fault.SCHEMA,
    Fault.READ_ONLY: Fault.WRONG_NODE,
    Fault.UNREACHABLE: Fault.CONNECTION_LOST,
}


def translate(fault: Fault, message: str) -> BatchopsError:
    """Return the error for a fault; `message` is the text of the server or driver, as `Faults.message` returns it."""
    meaning = _MEANINGS[fault]
    text = one_line(message)
    if fault is Fault.ROW_REFUSED and text:
        return meaning.error(text, meaning.hint)  # the reason, which is shown beside the row
    return meaning.error(f"{meaning.happened}: {text}" if text else f"{meaning.happened}.", meaning.hint)


def underway(fault: Fault) -> Fault:
    """Return what a fault means once a run has begun to write: a table was altered, or the primary has changed."""
    return _UNDERWAY.get(fault, fault)


def driver_error(error: BaseException) -> BaseException:
    """Return the driver's own error from inside SQLAlchemy's, which carries SQL text and parameters."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return error.orig
    return error


def one_line(text: str) -> str:
    """Return text from a server or driver as one printable line of bounded length."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    line = " ".join(printable.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
