"""The errors that batchops raises on purpose: each says what happened and what to do, and has an exit code."""

from collections.abc import Collection, Iterable
from enum import IntEnum


class Exit(IntEnum):
    """The exit codes of the command line; `batchops help exit-codes` explains them."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    INCOMPLETE = 3
    NOTHING = 4
    LIMIT = 5
    UNREACHABLE = 10
    LOCKED = 11
    REFUSED = 12
    INTEGRITY = 13
    BUSY = 75
    HANGUP = 129
    INTERRUPT = 130
    TERMINATED = 143


GRAVEST_FIRST = (
    Exit.FAILED, Exit.INTEGRITY, Exit.REFUSED, Exit.USAGE, Exit.LOCKED, Exit.UNREACHABLE,
    Exit.INTERRUPT, Exit.TERMINATED, Exit.HANGUP, Exit.BUSY, Exit.INCOMPLETE, Exit.LIMIT, Exit.DONE, Exit.NOTHING,
)  # fmt: skip
"""The exit codes from the gravest on: of several endings, of workers or jobs, the gravest counts."""


def gravity(code: int) -> int:
    """Return the rank of an exit code: the gravest has the lowest, and an unknown code ranks before all others."""
    return next((rank for rank, known in enumerate(GRAVEST_FIRST) if known == code), -1)


_FURTHER = 0.1
"""The difference in similarity (0 to 1) from which another name is much less similar."""


def nearest(name: str, names: Iterable[str], never: Collection[str] = ()) -> str:
    """Return the one of `names` that the user probably meant; empty if none is similar.

    A name in `never` is not offered, nor another one in its place that is much less similar.
    """
    from difflib import SequenceMatcher, get_close_matches  # slow to import, and rarely needed

    by_word = {_word(each): each for each in reversed(list(names))}
    close = get_close_matches(_word(name), by_word, n=len(by_word) or 1)
    offered = next((word for word in close if by_word[word] not in never), "")
    near = [SequenceMatcher(None, word, _word(name)).ratio() for word in (close[0], offered)] if offered else [1, 0]
    return by_word[offered] if near[0] - near[1] < _FURTHER else ""


def did_you_mean(name: str, names: Iterable[str], never: Collection[str] = ()) -> str:
    """Return a hint with the nearest name; empty if none is similar."""
    near = nearest(name, names, never)
    return f'did you mean "{near}"?' if near else ""


def _word(name: str) -> str:
    """Return the word to compare: without the dashes, which all options have in common, and in lower case."""
    return name.lstrip("-").casefold()


class BatchopsError(Exception):
    """An error for people: one line, an exit code, and a hint that says what to do."""

    exit: Exit = Exit.FAILED
    reason: str = "failed"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(BatchopsError):
    """A flag, value, condition or expression cannot be used as the user wrote it."""

    exit = Exit.USAGE
    reason = "usage"


class UnreachableError(BatchopsError):
    """The database, or the table in it, cannot be reached."""

    exit = Exit.UNREACHABLE
    reason = "unreachable"


class NotFoundError(UnreachableError):
    """The table does not exist."""

    reason = "not-found"


class LockedError(BatchopsError):
    """Another run of the same job is running, or has taken this one over."""

    exit = Exit.LOCKED
    reason = "locked"


class RefusedError(BatchopsError):
    """A safety check, a read-only server or a missing right refuses the job before anything is written."""

    exit = Exit.REFUSED
    reason = "refused"


class MissingCodeError(RefusedError):
    """The table needs a function or collation that this connection does not have."""


class DeniedError(RefusedError):
    """The server says that this role lacks a right."""


class LimitReachedError(BatchopsError):
    """A limit leaves too few rows for the next ones, which can only be changed together."""

    exit = Exit.DONE

    def __init__(self, reason: str) -> None:
        super().__init__(f"--{reason} leaves too few rows.")
        self.reason = reason


class MarkRefusedError(BatchopsError):
    """The table refuses the mark of every row, so each row would be processed again and again."""

    exit = Exit.INCOMPLETE
    reason = "incomplete"


class StuckError(BatchopsError):
    """The database refuses rows that the strategy cannot pass over, so that work is left."""

    exit = Exit.INCOMPLETE
    reason = "incomplete"

    def __init__(self, strategy: str, reason: str) -> None:
        super().__init__(
            f"The database refuses rows that the strategy {strategy} cannot pass over: {reason}. Rows behind them may "
            "be left.",
            "fix the cause and run it again, or add a key that identifies the rows.",
        )


class IntegrityError(BatchopsError):
    """The database's answers contradict each other; the batch is never retried, and a person must look at it."""

    exit = Exit.INTEGRITY
    reason = "integrity"


class TransientError(BatchopsError):
    """The batch was not applied and may be tried again."""

    exit = Exit.BUSY
    reason = "busy"


class LockTimeoutError(TransientError):
    """Rows of the batch are locked by another session."""


class TimedOutError(TransientError):
    """The statement ran longer than it may; a smaller batch may pass."""


class ConnectionLostError(TransientError):
    """The connection went away before COMMIT was sent: the batch was not applied."""


class CutShortError(TransientError):
    """The run was asked to stop, and its batch was not finished within the grace period."""


class OutcomeUnknownError(TransientError):
    """The connection went away between COMMIT and its answer: only the ledger knows whether the batch was applied."""


class ConditionFailedError(BatchopsError):
    """The condition cannot be evaluated for a row, as with a division by zero, so it is unknown whether it holds."""


class RowRefusedError(BatchopsError):
    """The database refuses a row of the batch: a constraint, a trigger, a value out of range."""
