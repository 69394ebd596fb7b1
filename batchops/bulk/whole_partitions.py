"""The part of a run that drops whole partitions, before the batches begin."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from batchops.bulk.droppable_partitions import Dropping, Gone, StoppedError
from batchops.bulk.rows_out import OpenOut
from batchops.bulk.strategies.partitioned import PartitionedStrategy
from batchops.errors import BatchopsError, Exit, TransientError
from batchops.events import Failure
from batchops.ledger.run import DETACHED, Run
from batchops.runtime.ending import Ending, ending_of
from batchops.runtime.lease import Lease
from batchops.runtime.limits import Limits
from batchops.runtime.loop import RunStats
from batchops.runtime.stop import Stop

if TYPE_CHECKING:  # the job itself imports this
    from batchops.bulk.job import BulkJob

_PAUSED = 1.0
"""Seconds after which a paused run checks whether it may go on."""


def drop_partitions(
    job: "BulkJob", held: Lease, run: Run, out: OpenOut, paused: Callable[[], object], limits: Limits, stop: Stop,
    stats: RunStats,
) -> Ending | None:  # fmt: skip
    """Drop whole partitions if the user asked for that, or if an earlier process began it; return the failure.

    None as well if a stop or a limit ends it: the loop of batches ends for the same reason then.
    """
    if not job.to_drop and not run.detached:
        return None
    begun = time.monotonic() - stats.seconds
    dropping = Dropping(
        job.database, job.ledger, held, run, job.plan.table, job.route.pinned.condition, out.whole(),
        job.spec.retry_timeout.total_seconds(), stop,
    )  # fmt: skip
    try:
        _finish_earlier(job, run, dropping, stats)
        for leaf in job.to_drop:
            while paused() and not stop.asked:
                stop.sleep(_PAUSED)
            stats.seconds = time.monotonic() - begun
            if stop.asked or limits.closed() is not None or limits.reached(stats.seconds):
                break
            _count(job, stats, dropping.drop(leaf))
    except StoppedError:
        return None
    except BatchopsError as error:
        return ending_of(error)
    finally:
        stats.seconds = time.monotonic() - begun
    return None


def with_detached(job: "BulkJob", run: Run, ending: Ending) -> Ending:
    """Return the ending; one that would be 0 is another if the run leaves a partition detached."""
    if ending.exit not in (Exit.DONE, Exit.INCOMPLETE) or not (job.to_drop or run.detached):
        return ending
    try:
        left = job.ledger.read(run.run).detached
    except BatchopsError as error:
        return ending_of(error)
    if not left:
        return ending
    message = f"Partition {left} is still detached, with all of its rows: the run ended before it was dropped."
    return Ending("busy", Exit.BUSY, Failure("busy", message, "run the same command again: it goes on with it first."))


def _finish_earlier(job: "BulkJob", run: Run, dropping: Dropping, stats: RunStats) -> None:
    gone = dropping.finish_earlier()
    _count(job, stats, gone)
    earlier = run.pinned.get(DETACHED)
    if gone is None and earlier and [earlier["schema"], earlier["name"]] not in [*map(list, run.pinned["leaves"])]:
        raise TransientError(
            f"Partition {run.detached} is attached again, and this run does not know its rows yet.",
            "run the same command again.",
        )


def _count(job: "BulkJob", stats: RunStats, gone: Gone | None) -> None:
    """Count the rows of a dropped partition, in which no batch finds rows any more."""
    if gone is None:
        return
    stats.rows += gone.rows
    if isinstance(job.route.strategy, PartitionedStrategy):
        job.route.strategy.forget(gone.identity)
