"""The end of a run, with the counts that every verb has."""

from batchops.errors import Exit
from batchops.events import Failure, Finished
from batchops.runtime.loop import Ending, RunStats
from batchops.runtime.stop import Stop
from batchops.version import __version__


def finished(verb: str, table: str, strategy: str, ending: Ending, stats: RunStats) -> Finished:
    """What this process has done; a verb adds what it alone knows."""
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
    """The ending of a run in which something failed: "incomplete" in place of done, a limit or a stop.

    What is graver stays what it is.
    """
    if ending.exit not in (Exit.DONE, Exit.INCOMPLETE) or ending.reason == "max-rejected":
        return ending
    return Ending("incomplete", Exit.INCOMPLETE, ending.error or error)


def of_one_that_stays(ending: Ending, stop: Stop) -> Ending:
    """The ending of a job that keeps running: SIGTERM is a normal end, unless it cut a batch."""
    graceful = ending.reason == "signal" and ending.exit == Exit.TERMINATED and not stop.cut
    return Ending("signal", Exit.DONE) if graceful else ending
