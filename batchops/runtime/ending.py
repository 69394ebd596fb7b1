"""Ending: why a run ends and with which exit code; and the Finished event, with the counts that every verb has."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchops.errors import BatchopsError, Exit
from batchops.events import Failure, Finished
from batchops.runtime.stop import Stop
from batchops.runtime.threads import described
from batchops.version import __version__

if TYPE_CHECKING:  # the loop itself imports this
    from batchops.runtime.loop import RunStats


@dataclass(frozen=True)
class Ending:
    """How a run ended: its reason, its exit code, and the error if there was one."""

    reason: str
    exit: int
    error: Failure | None = None


def ending_of(error: BaseException) -> Ending:
    """Return the ending of a run that ends with this error, of any kind."""
    if isinstance(error, BatchopsError):
        return Ending(error.reason, error.exit, Failure(error.reason, error.message, error.hint))
    if isinstance(error, KeyboardInterrupt):
        return Ending("signal", Exit.INTERRUPT)
    hint = "this is a bug; BATCHOPS_DEBUG=1 shows where."
    return Ending("failed", Exit.FAILED, Failure("failed", described(error), hint))


def finished(verb: str, table: str, strategy: str, ending: Ending, stats: "RunStats") -> Finished:
    """Return Finished with what this process has done; the verb adds what only it knows."""
    return Finished(
        verb=verb,
        table=table,
        reason=ending.reason,
        exit=int(ending.exit),
        version=__version__,
        strategy=strategy,
        rows=stats.rows,
        read=stats.read,
        batches=stats.batches,
        retries=stats.retries,
        rejected=len(stats.rejected),
        locked=stats.locked,
        rejected_causes=stats.rejected.causes,
        seconds=stats.seconds,
        throttled_seconds=stats.throttled_seconds,
        throttled_by=stats.throttled_by.all(),
        error=ending.error,
    )


def as_incomplete(ending: Ending, error: Failure | None = None) -> Ending:
    """Return the ending of a run in which something failed: "incomplete" instead of done, a limit or a stop.

    A graver ending stays as it is.
    """
    if ending.exit not in (Exit.DONE, Exit.INCOMPLETE) or ending.reason == "max-rejected":
        return ending
    return Ending("incomplete", Exit.INCOMPLETE, ending.error or error)


def of_one_that_stays(ending: Ending, stop: Stop) -> Ending:
    """Return the ending of a job that keeps running, such as with --poll: SIGTERM is normal unless it cut a batch."""
    graceful = ending.reason == "signal" and ending.exit == Exit.TERMINATED and not stop.cut
    return Ending("signal", Exit.DONE) if graceful else ending


def stopped(stop: Stop) -> Ending:
    """Return the ending of a loop that was asked to stop."""
    if stop.error is not None:
        return ending_of(stop.error)
    reason = stop.reason or "stopped"
    if reason == "locked":
        message = "Another process has taken this run over; this one wrote nothing more."
        return Ending("locked", Exit.LOCKED, Failure("locked", message, "see `batchops runs`."))
    if reason == "max-rejected":
        return Ending(reason, Exit.INCOMPLETE)
    if reason == "busy":
        message = "It is unknown whether a range was handed from one worker to another."
        return Ending("busy", Exit.BUSY, Failure("busy", message, "run the same command again: the ledger knows."))
    return Ending(reason, 128 + stop.signal if stop.signal else Exit.DONE)


def worked_off(stats: "RunStats") -> Ending:
    """Return the ending of a loop that has nothing left to do."""
    if stats.locked or stats.rejected:
        return Ending("incomplete", Exit.INCOMPLETE)
    return Ending("done", Exit.DONE)


def rejected_too_often(stats: "RunStats") -> Ending:
    """Return the ending of a run in which the database refused more rows than is allowed."""
    refused, tried = stats.rejected.refused, stats.rejected.refused + stats.rows
    message = f"The database refused {refused:,} of {tried:,} rows."
    hint = "fix the cause and run it again: the run continues and retries these rows; --max-rejected N allows more."
    return Ending("max-rejected", Exit.INCOMPLETE, Failure("max-rejected", message, hint))
