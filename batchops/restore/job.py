"""A restore on one database: the lease, ledger, heartbeat and control around the loop."""

from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from batchops.archive.column_match import Matched
from batchops.archive.destination import Destination
from batchops.archive.numbers import advance_numbers
from batchops.archive.records import ArchivedTable
from batchops.db.database import Database
from batchops.errors import BatchopsError, Exit, LockedError
from batchops.events import Emit, Failure, Finished, Started, ThrottleReason
from batchops.finished_details import Families, Restored
from batchops.ledger.ledger import Ledger
from batchops.ledger.location import NONE
from batchops.ledger.owner import this_process
from batchops.ledger.requests import scopes_of
from batchops.ledger.run import Run
from batchops.ledger.run_events import save_plan
from batchops.restore.parents_first import equal_in
from batchops.restore.plan import ORDER
from batchops.restore.previous import Work, work_of
from batchops.restore.rows_back import Target
from batchops.restore.source import RowsAt
from batchops.restore.spec import RestoreSpec
from batchops.restore.step import RestoreStep
from batchops.restore.tables_in_turn import TablesInTurn
from batchops.runtime import lease
from batchops.runtime.control import Control
from batchops.runtime.ending import Ending, ending_of, finished
from batchops.runtime.heartbeat import Heartbeat
from batchops.runtime.lifecycle import EventEmitter, whole_run
from batchops.runtime.live_settings import LiveSettings
from batchops.runtime.loop import RunStats, run
from batchops.runtime.pacing import Pacing
from batchops.runtime.refusal import refusal, refuse
from batchops.runtime.retry import retrying
from batchops.runtime.sampler import Sampler
from batchops.runtime.stop import Stop
from batchops.spec.loop_throttles import loop_throttles
from batchops.spec.settings import bounds_of, grace_of, live_of, loop_of
from batchops.spec.verb import FactsPlan, kept_plan
from batchops.throttles.chosen import ChosenThrottle
from batchops.version import __version__

_TRY_AGAIN = "fix the cause; --restart --on-conflict skip then restores the rows that are missing"
ARRANGING_SECONDS = 0.2
"""How long the run waits before it asks again whether the rows are in order."""
END_TIMEOUT = 3.0
"""Seconds during which recording the end of a run is retried."""


@dataclass(frozen=True)
class Ready:
    """The targets, once they exist, and how archived columns map to them."""

    targets: Mapping[str, Target]
    """The targets by the archived table's label, parents first."""
    matched: Callable[[ArchivedTable], Matched]
    watched: tuple[ChosenThrottle, ...]
    """The throttles of the run."""
    filled: Mapping[str, str | None]
    """The server's own identity of each target, if it has one, by the archived table's label."""


@dataclass(frozen=True)
class RestoreJob:
    """A restore prepared on one database."""

    spec: RestoreSpec
    database: Database
    destination: Destination
    ledger: Ledger
    plan: FactsPlan
    work: Work
    identify: Callable[[], str]
    """Returns the job's key in the ledger, once the ledger exists."""
    ready: Callable[[], Ready]
    """Makes missing tables, and returns the targets."""
    next: str = ""
    """The command that continues the restore."""
    recipe_job: str = ""

    def run(self, emit: Emit, stop: Stop) -> Finished:
        """Run the restore. An error before it begins is raised; a later one is in what this returns."""
        refuse(self.plan.refusals)
        if self.work.done and self.work.last is not None:
            return _already_done(self, self.work.last, emit)
        ready = self.ready()
        held, run_row = _begin(self, ready)
        stats = RunStats()
        skipped: list[int] = [0]

        def ended(ending: Ending) -> Finished:
            return _ended(self, run_row, ending, stats, skipped[0])

        work = partial(_work, self, ready, held, run_row, stats, skipped)
        return whole_run(emit, stop, work, ended, grace_of(self.spec, self.database), undone=True)

    def not_run(self, reason: str) -> Finished:
        """Return the end of a job that is not run."""
        code, error = (Exit.FAILED if reason == "declined" else Exit.DONE), None
        if (refused := refusal(self.plan.refusals)) is not None:
            code, error = refused.exit, Failure(refused.reason, refused.message, refused.hint)
        return Finished(
            self.plan.verb.name, self.plan.label, reason, int(code), __version__, strategy=ORDER, error=error
        )


def _work(
    job: RestoreJob, ready: Ready, held: lease.Lease, row: Run, stats: RunStats, skipped: list[int],
    emitter: EventEmitter, stop: Stop,
) -> Finished:  # fmt: skip
    """Run from the event Started to the end, and record the end in the ledger."""
    ending = Ending("failed", Exit.FAILED)
    sampler = Sampler(job.ledger, row, stats, emitter.log)
    try:
        emitter(_started(job, row))
        job.database.underway = True
        job.destination.wait_until(lambda: stop.at_once)
        pacing = Pacing(target=job.spec.target_time.total_seconds(), fixed=job.spec.batch_size)
        live = live_of(job.spec, pacing, several=False)
        heartbeat = Heartbeat(job.ledger, held, stop, emitter.threads, sample=sampler)
        control = Control(job.ledger, held, scopes_of(row.run, row.job, job.recipe_job), live, stop, emitter.warn)
        retrying(job.spec.retry_timeout.total_seconds(), control.look, stopped=lambda: stop.asked, sleep=stop.sleep)
        with heartbeat.renewing(control.look_if_due):
            ending = _loop(job, ready, row, heartbeat, control, live, emitter, stop, stats, skipped)
            ending = _with_refused(ending, job.work.refused_before + row.rejected + len(stats.rejected))
            for target in ready.targets.values():
                advance_numbers(job.database, target.table, [one.name for one in target.columns], emitter.warn)
    except BaseException as error:
        ending = ending_of(error)
        raise
    finally:
        _record_end(job.ledger, held, row, sampler, ending)
    return _ended(job, row, ending, stats, skipped[0])


def _loop(
    job: RestoreJob, ready: Ready, row: Run, heartbeat: Heartbeat, control: Control, live: LiveSettings,
    emitter: EventEmitter, stop: Stop, stats: RunStats, skipped: list[int],
) -> Ending:  # fmt: skip
    def matched(rows: RowsAt) -> Matched:
        return ready.matched(rows.table)

    first = next(iter(ready.targets.values())).table
    equal = {
        label: equal_in(job.database, ready.targets[label].table, own) for label, own in job.work.references.items()
    }
    with (
        closing(TablesInTurn(job.destination, job.work, lambda: stop.asked, equal)) as source,
        loop_throttles(job.spec, job.plan, ready.watched, job.database, first, live, emitter, stats) as throttles,
    ):
        step = RestoreStep(
            job.database,
            job.ledger,
            row.workers[0],
            source,
            ready.targets,
            matched,
            job.work.later,
            heartbeat.renew_with_batch,
        )
        arranging = partial(_arranging, source)
        loop = replace(loop_of(job.spec, step, live), throttles=(control.throttle, arranging, *throttles))
        ending = run(loop, emitter, stop, stats)
        skipped[0] = step.skipped
    return ending


def _arranging(source: TablesInTurn) -> ThrottleReason | None:
    """Say why no batch is done while the rows of a table that refers to itself are put in order."""
    rows = source.arranging()
    return None if rows is None else ThrottleReason(f"rows are put in order: {rows:,} read", ARRANGING_SECONDS)


def _with_refused(ending: Ending, rejected: int) -> Ending:
    """Return the ending; `incomplete` instead of `done` if the table refused rows.

    Rows that it refused in an earlier process of this run count too, as they are not read again.
    """
    if not rejected or ending.exit not in (Exit.DONE, Exit.INCOMPLETE):
        return ending
    message = ending.error.message if ending.error else f"The table refused {rejected:,} rows in all."
    more = "; --max-rejected N allows more" if ending.reason == "max-rejected" else ""
    reason = "incomplete" if ending.reason == "done" else ending.reason
    return Ending(reason, Exit.INCOMPLETE, Failure(reason, message, f"{_TRY_AGAIN}{more}."))


def _begin(job: RestoreJob, ready: Ready) -> tuple[lease.Lease, Run]:
    """Acquire the lease and record the run, in one transaction."""
    ledger = job.ledger
    ledger.make()
    key = job.identify()
    with ledger.database.transaction() as connection:
        held = lease.acquire(connection, ledger, key, job.spec.lease.total_seconds())
        now = work_of(connection, ledger, key, job.work, restart=True)
        if now.last != job.work.last:
            raise LockedError("Another run of the same job ended just now.", "run the same command again.")
        if job.work.continues and job.work.last is not None:
            run_row = ledger.take_over(connection, job.work.last)
        else:
            if job.work.last is not None and job.work.last.state == "running":  # with --restart
                ledger.take_over(connection, job.work.last)
                ledger.end(connection, job.work.last.run, "failed", "restarted with --restart")
            run_row = ledger.begin(connection, _row(job, ready, key), [job.work.place.dumped()])
        lease.name_run(connection, ledger, held, run_row.run)
        save_plan(connection, ledger, run_row.run, kept_plan(job.plan))
    return held, run_row


def _row(job: RestoreJob, ready: Ready, key: str) -> dict[str, object]:
    pinned = {
        "condition": job.spec.where, "assignments": [], "cutoff": None, "key": None,
        "segments": [one.listed.name for one in job.work.segments], "refused_before": job.work.refused_before,
        "undecided": [one.listed.name for one in job.work.segments if one.undecided],
        "references": dict(job.work.references), "later": dict(job.work.later), "first": job.work.first,
        "nulled": [one.listed.name for one in job.work.nulled], "nulled_before": sorted(job.work.nulled_before),
        "tables": dict(ready.filled),
    }  # fmt: skip
    by = {"role": "", "version": __version__, "database": job.database.address.shown, "command": job.next}
    return {
        "job": key, "verb": job.plan.verb.name, "table_name": job.plan.label, "strategy": ORDER, "prunable": 0,
        "spec": {"where": job.spec.where, "from": job.destination.shown}, "pinned": pinned,
        "started_by": this_process().as_dict() | by | {"job": job.recipe_job},
    }  # fmt: skip


def _started(job: RestoreJob, row: Run) -> Started:
    whole = sum(one.rows for one in (*job.work.segments, *job.work.again))
    return Started(
        None if job.spec.ledger == NONE else row.run, job.plan.verb.name, job.plan.label, ORDER, row.batches > 0, whole,
        None, row.rows, row.read, counts_read=True, **bounds_of(job.spec),
    )  # fmt: skip


def _ended(job: RestoreJob, row: Run, ending: Ending, stats: RunStats, skipped: int) -> Finished:
    here = finished(job.plan.verb.name, job.plan.label, ORDER, ending, stats)
    tables = row.tables
    tables.update(stats.tables)
    goes_on = ending.exit not in (Exit.LOCKED, Exit.REFUSED, Exit.INTEGRITY) and ending.reason not in (
        "done",
        "incomplete",
    )
    return replace(
        here,
        run=None if job.spec.ledger == NONE else row.run,
        rows=row.rows + here.rows,
        read=row.read + here.read,
        batches=row.batches + here.batches,
        rejected=row.rejected + here.rejected,
        participle=job.plan.verb.participle,
        restored=Restored(skipped),
        families=Families(dict(sorted(tables.items())), 0, 0) if tables else None,
        next=(job.next or None) if goes_on else None,
    )


def _already_done(job: RestoreJob, last: Run, emit: Emit) -> Finished:
    """Return the end of a job that an earlier run has done; `incomplete` if that run rejected rows."""
    at = datetime.fromtimestamp(last.ended_at or last.started_at, UTC).isoformat(timespec="seconds")
    end = Finished(
        job.plan.verb.name, job.plan.label, "already-done", int(Exit.DONE), __version__, run=last.run, strategy=ORDER,
        done_at=at,
    )  # fmt: skip
    if last.state == "incomplete":
        message = f"Run {last.run} restored all but {job.work.refused_before:,} rows, which the table refused."
        hint = f"`batchops show {last.run}` lists them; {_TRY_AGAIN}."
        failure = Failure("incomplete", message, hint)
        rejected = job.work.refused_before
        end = replace(end, reason="incomplete", exit=int(Exit.INCOMPLETE), rejected=rejected, error=failure)
    emit(end)
    return end


def _record_end(ledger: Ledger, held: lease.Lease, row: Run, sampler: Sampler, ending: Ending) -> None:
    """Record the end of the run.

    If the ledger cannot be reached, the run looks as if it had crashed, and the next run continues it.
    """

    def end() -> None:
        with ledger.database.transaction() as connection:
            if lease.release(connection, ledger, held):
                error = ending.error.message if ending.error else None
                sampler.end(connection, ending.reason, error)
                ledger.end(connection, row.run, ending.reason, error)

    with suppress(BatchopsError):
        retrying(END_TIMEOUT, end)
