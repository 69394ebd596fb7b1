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
    """The kinds of failure; each family's `classify` says which one a driver's error is."""

    TRANSIENT = auto()
    """Not applied, may pass: deadlock, serialization failure, busy file, too many connections, full disk."""
    LOCK_TIMEOUT = auto()
    TIMED_OUT = auto()
    """Ran too long, or was cancelled: by whom, only the caller can know."""
    CONNECTION_LOST = auto()
    OUTCOME_UNKNOWN = auto()
    """The server itself cannot say; an error in COMMIT with a lost connection is for the caller to see."""
    WRONG_NODE = auto()
    """Connected to a server that may not write now; another one may."""
    ROW_REFUSED = auto()
    DENIED = auto()
    READ_ONLY = auto()
    UNREACHABLE = auto()
    """Nobody answers there; it may start later."""
    LOGIN = auto()
    """The server answers and says no: password, role, database."""
    NO_TABLE = auto()
    NO_COLUMN = auto()
    STATEMENT = auto()
    """The statement makes no sense to the server: syntax, function, types."""
    SEVERAL_ROWS = auto()
    """A sub-select that is to be one value gives several rows; some servers take the first."""
    MISSING_CODE = auto()
    """A function or collation that the application alone defines (SQLite)."""
    SCHEMA = auto()
    """The table is no longer what it was when the run began."""
    CORRUPT = auto()
    OTHER = auto()


TOGETHER = 50
"""How many rows one statement can ask a server about, whether it refuses each: MySQL keeps 64 warnings."""


@dataclass(frozen=True)
class RefusedRow:
    """The row that caused a refusal, if the server reports it."""

    place: int
    """Its place in the list of rows that the statement was for."""
    certain: bool
    """Whether it was named; else only how many rows came before it is known, in the order the server chose."""


class Faults(Protocol):
    """What one database's errors mean."""

    def classify(self, error: BaseException) -> Fault:
        """The fault that a driver's error is."""

    def message(self, error: BaseException) -> str:
        """The server's text, without rows or SQL."""

    def refused_row(
        self,
        connection: sa.Connection,
        error: BaseException,
        table: Table,
        names: Sequence[str],
        keys: Sequence[KeyValue],
    ) -> RefusedRow | None:
        """Which row with one of `keys` in `names` the last statement was refused for; None where unsaid."""

    def refuses_each(
        self, connection: sa.Connection, update: sa.Update, rows: int, table: Table, names: Sequence[str], /
    ) -> bool:
        """Whether the server refuses every single one of the `rows` of the UPDATE, by a constraint of the table.

        `names` is a key of the table, and the rows are no more than TOGETHER. False where it does not, or where that
        cannot be asked; the driver's own error for anything else. The caller takes back what the question changed.
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
    """The error for a fault before the first write; the message is what the family's `message` says."""
    meaning = _MEANINGS[fault]
    text = one_line(message)
    if fault is Fault.ROW_REFUSED and text:
        return meaning.error(text, meaning.hint)  # a reason that is shown beside the row
    return meaning.error(f"{meaning.happened}: {text}" if text else f"{meaning.happened}.", meaning.hint)


def underway(fault: Fault) -> Fault:
    """The error for a fault after a run has started: names have disappeared, the primary has changed."""
    return _UNDERWAY.get(fault, fault)


def driver_error(error: BaseException) -> BaseException:
    """The driver's own error inside SQLAlchemy's, which carries SQL text and parameters."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return error.orig
    return error


def one_line(text: str) -> str:
    """Text from a server or driver as one printable line of bounded length."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    line = " ".join(printable.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
