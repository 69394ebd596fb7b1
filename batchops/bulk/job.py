"""A walk that is planned, run: lease, ledger, lanes and monitor around the loop."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from batchops.bulk.begin import accept_table, begin, with_memory
from batchops.bulk.droppable_partitions import Dropping
from batchops.bulk.plan.plan import COUNTED
from batchops.bulk.plan.referenced_rows import Staying, staying, stays
from batchops.bulk.plan.refusal import refuse
from batchops.bulk.prepare import Prepared
from batchops.bulk.read_meter import Watch
from batchops.bulk.replan import another_walk
from batchops.bulk.rows_left import left_of
from batchops.bulk.step import WalkStep
from batchops.bulk.strategies import Walk
from batchops.bulk.strategies.partitioned import LeavesWalk
from batchops.bulk.workers import Lanes, LaneStep
from batchops.errors import BatchopsError, Exit
from batchops.events import Emit, Failure, Finished, Started, Warned
from batchops.ledger.ledger import Ledger
from batchops.ledger.location import NONE
from batchops.ledger.run import Lane, Run
from batchops.runtime import lease
from batchops.runtime.ending import as_incomplete, finished
from batchops.runtime.heartbeat import Monitor
from batchops.runtime.lifecycle import Telling, whole_run
from batchops.runtime.limits import Limits
from batchops.runtime.loop import TURNED, Ending, Job, Step, Tally, ending_of
from batchops.runtime.pacing import Pace
from batchops.runtime.parallel import side_by_side
from batchops.runtime.retry import patiently
from batchops.runtime.stop import Stop
from batchops.spec.settings import bounds_of, grace_of, limits_of, pace_of
from batchops.version import __version__

END_PATIENCE = 3.0
"""Seconds to get the end of a run written down: a connection may be a broken one from before."""


def perform(job: Prepared, emit: Emit, stop: Stop) -> Finished:
    """Run what was prepared; every error once the run has begun is told in what is returned."""
    job = with_memory(job, emit)
    if job.done is not None:
        return _already_done(job, job.done, emit)
    refuse(job.plan.refusals)
    held, now = begin(job, stop)
    tally = Tally(locked=now.locked)

    def work(telling: Telling, stop: Stop) -> Finished:
        ending = Ending("failed", Exit.FAILED)
        try:
            telling(_started(job, now))
            ending, walk, left_out = _worked(job, held, now, telling, stop, tally)
        except BaseException as error:
            ending = ending_of(error)
            raise
        finally:
            # The ledger keeps a limit as it was: it says how the next run goes on.
            _record_end(job.ledger, held, now, ending.reason, ending.error.message if ending.error else None)
        if now.rejected or tally.rejected:
            ending = as_incomplete(ending)
        end = _finished(job, now, walk, ending, tally)
        if job.spec.ledger == NONE and end.reason == "max-rejected" and end.error is not None:
            again = "mend the cause and run it again, from the beginning; --max-rejected N allows more."
            end = replace(end, error=replace(end.error, hint=again))
        rejected = end.rejected + sum(one.rows or 0 for one in left_out)
        return replace(end, rejected=rejected, left=left_of(job, now, ending, tally, left_out))

    grace = grace_of(job.spec, job.database)
    return whole_run(emit, stop, work, lambda ending: _finished(job, now, now.walk, ending, tally), grace)


def _worked(
    job: Prepared, held: lease.Lease, now: Run, telling: Telling, stop: Stop, tally: Tally
) -> tuple[Ending, str, tuple[Staying, ...]]:  # fmt: skip
    """How it ended, by which walk, and which rows stay as others refer to them."""
    job.database.underway = True
    monitor = Monitor(job.ledger, held, stop, telling.threads)
    with monitor.watching():
        failed = _drop(job, now, tally)
        ending, walk = (failed, now.walk) if failed else _walk(job, now, monitor, telling, stop, tally)
        left_out = _left_out(job, ending)
    if ending.reason == "done" and now.rejected:
        ending = as_incomplete(ending)  # by an earlier process of this run
    return as_incomplete(ending, stays(left_out)) if left_out else ending, walk, left_out


def _left_out(job: Prepared, ending: Ending) -> tuple[Staying, ...]:
    """What other tables refer to, where the run has come to its end: looked up now, as rows may refer to more."""
    if ending.reason not in ("done", "incomplete") or not job.route.frozen.left_out:
        return ()
    seconds = job.spec.statement_timeout.total_seconds()
    with suppress(BatchopsError), job.database.reading() as connection:
        return tuple(staying(connection, job.database, job.plan.table, job.route.frozen, seconds))
    return (Staying("referenced by other tables", None),)


def _already_done(job: Prepared, run: Run, emit: Emit) -> Finished:
    accept_table(job, run)
    at = datetime.fromtimestamp(run.ended_at or run.started_at, UTC).isoformat(timespec="seconds")
    end = Finished(
        verb=job.verb, table=job.plan.table.label, reason="already-done", exit=int(Exit.DONE), version=__version__,
        run=run.run, walk=run.walk, cutoff=run.frozen["cutoff"], done_at=at, listed=job.route.frozen.listed,
    )  # fmt: skip
    if run.state == "incomplete":
        message = f"Run {run.run} changed all but {run.rejected + run.locked:,} rows, and kept no list of those."
        failure = Failure("incomplete", message, "find and change them by hand; --restart changes all of them again.")
        end = replace(end, reason="incomplete", exit=int(Exit.INCOMPLETE), rejected=run.rejected, error=failure)
    emit(end)
    return end


def _walk(
    job: Prepared, now: Run, monitor: Monitor, telling: Telling, stop: Stop, tally: Tally
) -> tuple[Ending, str]:  # fmt: skip
    """The loop in all its lanes; by another walk, where the first one turns out to be bad. Also, which it was."""
    pace, walk = pace_of(job.spec, job.plan.table), job.route.walk
    limits = limits_of(job.spec)
    tried, watched = {now.walk}, True
    while True:
        lanes = Lanes(job.database, walk, job.ledger, now, _steps(job, walk, monitor, watched=watched), stop, tally)
        base = _job(job, pace, limits, LaneStep(lanes))
        ending = side_by_side(_each(base, lanes), job.workers, telling, stop, tally, telling.threads)
        if ending.reason != TURNED:
            return ending, now.walk
        now = job.ledger.read(now.run)
        changed = another_walk(job, now, frozenset(tried))
        if changed is None:
            watched = False
            continue
        now, walk = changed
        tried.add(now.walk)
        telling(Warned(f"The run goes on by the walk {now.walk}, from its beginning."))


def _steps(job: Prepared, walk: Walk, monitor: Monitor, *, watched: bool) -> Callable[[Lane], WalkStep]:
    def step(lane: Lane) -> WalkStep:
        watch = Watch(job.database.family) if watched else None
        comes_back = job.verb == "purge" and job.plan.refers_to_itself
        return WalkStep(
            job.database, walk, job.route.operation, job.ledger, lane, watch, monitor.with_batch, comes_back=comes_back
        )

    return step


def _each(base: Job, lanes: Lanes) -> Callable[[], Job]:
    """A job for each worker; all but the step is shared."""

    def mine() -> Job:
        step = LaneStep(lanes)
        return replace(base, step=step, idle=step.idle, leave=step.leave)

    return mine


def _drop(job: Prepared, now: Run, tally: Tally) -> Ending | None:
    """Whole partitions first, where the user asked for that, or an earlier process was at it; how it failed."""
    if not job.to_drop and not now.frozen.get("detached"):
        return None
    try:
        _drop_all(job, now, tally)
    except BatchopsError as error:
        return ending_of(error)
    return None


def _drop_all(job: Prepared, now: Run, tally: Tally) -> None:
    dropping = Dropping(job.database, job.ledger, now, job.plan.table, job.route.frozen.predicate)
    tally.rows += dropping.finish_earlier()
    for leaf in job.to_drop:
        gone = dropping.drop(leaf)
        tally.rows += gone
        if gone and isinstance(job.route.walk, LeavesWalk):
            job.route.walk.forget(leaf.identity)


def _started(job: Prepared, now: Run) -> Started:
    return Started(
        run=None if job.spec.ledger == NONE else now.run,
        verb=job.verb,
        table=job.plan.table.label,
        walk=now.walk,
        resumed=now.batches > 0,
        table_rows=job.plan.table.rows if job.plan.frozen.listed is None else job.plan.estimate,
        estimate=job.plan.estimate,
        rows=now.rows,
        read=now.read,
        counted=job.plan.estimated_by == COUNTED,
        **bounds_of(job.spec),
    )


def _job(job: Prepared, pace: Pace, limits: Limits, step: Step) -> Job:
    spec = job.spec
    return Job(
        step=step,
        pace=pace,
        limits=limits,
        rest=spec.rest.total_seconds(),
        patience=spec.retry_time.total_seconds(),
    )


def _record_end(ledger: Ledger, held: lease.Lease, now: Run, state: str, error: str | None) -> None:
    """Where the ledger cannot be reached, the run stays as if crashed; whoever comes next goes on with it."""

    def end() -> None:
        with ledger.database.transaction() as connection:
            if lease.release(connection, ledger, held):
                ledger.end(connection, now.run, state, error)

    with suppress(BatchopsError):
        patiently(END_PATIENCE, end)


def _finished(job: Prepared, now: Run, walk: str, ending: Ending, tally: Tally) -> Finished:
    goes_on = ending.exit not in (Exit.LOCKED, Exit.REFUSED, Exit.INTEGRITY) and ending.reason != "done"
    here = finished(job.verb, job.plan.table.label, walk, ending, tally)
    return replace(
        here,
        run=None if job.spec.ledger == NONE else now.run,
        rows=now.rows + here.rows,
        read=now.read + here.read,
        batches=now.batches + here.batches,
        rejected=now.rejected + here.rejected,
        cutoff=job.route.frozen.cutoff,
        listed=job.route.frozen.listed,
        next=(job.next or None) if goes_on else None,
    )
