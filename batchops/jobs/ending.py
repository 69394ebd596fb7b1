"""How a run ended, in the figures that every verb has."""

from batchops import __version__
from batchops.errors import Exit
from batchops.events import Finished
from batchops.loop.loop import Ending, Tally

REJECTIONS = 100
"""Rejected rows or events that the end of a run still names; --events has them all."""


def finished(verb: str, table: str, walk: str, ending: Ending, tally: Tally) -> Finished:
    """What this process has done; a verb adds what it alone knows."""
    return Finished(
        verb=verb,
        table=table,
        reason=ending.reason,
        exit=int(ending.exit),
        version=__version__,
        walk=walk,
        rows=tally.rows,
        read=tally.read,
        batches=tally.batches,
        retries=tally.retries,
        rejected=len(tally.rejected),
        locked=tally.locked,
        rejections=tuple(tally.rejected[:REJECTIONS]),
        seconds=tally.seconds,
        held_seconds=tally.held_seconds,
        error=ending.error,
    )


def of_one_that_stays(ending: Ending) -> Ending:
    """What stays up has no other end than a signal: SIGTERM is a good one."""
    graceful = ending.reason == "signal" and ending.exit == Exit.TERMINATED
    return Ending("signal", Exit.DONE) if graceful else ending
