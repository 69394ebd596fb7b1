"""run_record(): keeps a ledger row for a run that leases no job, such as a drain, to show and control it."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.errors import BatchopsError
from batchops.events import Finished, ThrottleReason
from batchops.ledger.ledger import Ledger
from batchops.ledger.owner import Owner, this_process
from batchops.ledger.pruning import prune
from batchops.ledger.requests import scopes_of
from batchops.ledger.run import Run, new_token
from batchops.ledger.run_events import save_plan
from batchops.runtime import lease
from batchops.runtime.control import Control
from batchops.runtime.event_log import EventLog
from batchops.runtime.heartbeat import renew_due
from batchops.runtime.lease import RENEWALS, LeaseClock
from batchops.runtime.live_settings import LiveSettings
from batchops.runtime.loop import RunStats
from batchops.runtime.retry import retrying
from batchops.runtime.sampler import Sampler
from batchops.runtime.stop import Stop
from batchops.runtime.threads import Threads
from batchops.version import __version__

LEASE = 15.0
"""Seconds without a heartbeat after which a run counts as stale."""
TIMEOUT = 3.0
"""Seconds for which recording the beginning or the end of a run is retried; the work does not depend on it."""
KEEP = 7 * 86400.0
"""Seconds after which the row of an ended run is removed: there may be a run each second."""
MOST_PRUNED = 1_000
SILENT = 86400.0
"""Seconds of silence after which a process of another host counts as gone."""
NO_ROW = "Nobody can see this run in the ledger, pause it or stop it there"
NO_PLACE = '{"ranges":[],"pass":0,"base":0}'
"""The cursor of a worker that follows no range."""


@dataclass(frozen=True)
class RunFacts:
    """What the ledger keeps about a run."""

    verb: str
    table: str
    strategy: str
    database: str
    condition: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    """What else distinguishes its job from others on the table, such as where its events go."""
    command: str | None = None
    recipe_job: str = ""
    plan: Mapping[str, Any] = field(default_factory=dict)

    def key(self, database_id: str) -> str:
        """Return the key of the run's job in this database."""
        what = [database_id, self.verb, self.table, self.condition, dict(self.more)]
        return sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


class RunEmitter(Protocol):
    """A run's threads, its log of events, and its warnings."""

    threads: Threads
    log: EventLog

    def warn(self, text: str) -> None:
        """Emit a warning."""


class RunRecord:
    """The row of a run in the ledger, if it has one; `throttle` is for the loop."""

    def __init__(self, run: int | None = None, control: Control | None = None) -> None:
        self.run = run
        self._control = control
        self.state, self.error = "failed", ""

    def throttle(self) -> ThrottleReason | None:
        """Return who has paused the run; None while nobody has."""
        return self._control.throttle() if self._control is not None else None

    def ended(self, finished: Finished) -> Finished:
        """Remember how the run ended; return Finished with the run's number."""
        self.state, self.error = finished.reason, finished.error.message if finished.error else ""
        return replace(finished, run=self.run)


@contextmanager
def run_record(
    ledger: Ledger | None, facts: RunFacts, live: LiveSettings, stats: RunStats, stop: Stop, emitter: RunEmitter,
    begun: Callable[[int | None], None],
) -> Iterator[RunRecord]:  # fmt: skip
    """Keep a row of the run until the block ends; call `begun` with the run's number once the row is there.

    Without a ledger, or if this role may not use it, the run has no row and nobody can control it. In the second case
    there is one warning. The run continues.
    """
    found, why = None, ""
    try:
        found = None if ledger is None else retrying(TIMEOUT, lambda: _begin(ledger, facts))
    except BatchopsError as error:
        why = f"{NO_ROW}: {error.message}"
    if ledger is None or found is None:
        begun(None)
        if why:
            emitter.warn(why)
        yield RunRecord()
        return
    held, run = found
    begun(run.run)
    with suppress(BatchopsError):  # the next run removes them as well
        prune(ledger, KEEP, most=MOST_PRUNED, job=run.job)
    scopes = scopes_of(run.run, run.job, facts.recipe_job)
    control = Control(ledger, held, scopes, live, stop, emitter.warn)
    with suppress(BatchopsError):
        retrying(TIMEOUT, control.look)
    record = RunRecord(run.run, control)
    heartbeat = _Heartbeat(ledger, held, run, Sampler(ledger, run, stats, emitter.log), stats, control)
    try:
        with emitter.threads.repeating("run's heartbeat", LEASE / RENEWALS, heartbeat.turn):
            yield record
    finally:
        with suppress(BatchopsError):
            retrying(TIMEOUT, lambda: heartbeat.end(record.state, record.error or None))


class _Heartbeat:
    """Renews the lease, writes the counts and a sample, and reads the requests."""

    def __init__(
        self, ledger: Ledger, held: lease.Lease, run: Run, sampler: Sampler, stats: RunStats, control: Control
    ) -> None:  # fmt: skip
        self._ledger, self._held, self._run, self._stats = ledger, held, run, stats
        self._control = control
        self._clock = LeaseClock(held.seconds)
        self._sampler = sampler

    def turn(self) -> None:
        try:
            renew_due([(self._clock, self._renewed)])
        finally:
            self._control.look_if_due()

    def end(self, state: str, error: str | None) -> None:
        with self._ledger.database.transaction() as connection:
            self._write_counts(connection)
            lease.release(connection, self._ledger, self._held)
            self._sampler.end(connection, state, error)
            self._ledger.end(connection, self._run.run, state, error)

    def _renewed(self) -> bool:
        with self._ledger.database.transaction() as connection:
            kept = lease.renew_within(connection, self._ledger, self._held)
            self._write_counts(connection)
            self._sampler(connection)
        return kept

    def _write_counts(self, connection: sa.Connection) -> None:
        workers, stats = self._ledger.workers, self._stats
        counts = {
            "rows_changed": stats.rows, "rows_read": stats.read, "batches": stats.batches,
            "rows_locked": stats.locked, "rows_rejected": len(stats.rejected),
        }  # fmt: skip
        connection.execute(workers.update().where(workers.c.run == self._run.run).values(counts))


def _begin(ledger: Ledger, facts: RunFacts) -> tuple[lease.Lease, Run]:
    ledger.make()
    with ledger.database.transaction() as connection:
        job = facts.key(ledger.database_id(connection))
        _end_crashed(connection, ledger, job)
        held = lease.acquire(connection, ledger, new_token(), LEASE)
        run = ledger.begin(connection, _row(facts, job), [NO_PLACE])
        lease.name_run(connection, ledger, held, run.run)
        save_plan(connection, ledger, run.run, facts.plan)
    return held, run


def _row(facts: RunFacts, job: str) -> dict[str, object]:
    pinned: dict[str, object] = {"condition": facts.condition, "assignments": [], "cutoff": None, "key": None}
    by = {"role": "", "version": __version__, "database": facts.database, "command": facts.command or ""}
    return {
        "job": job, "verb": facts.verb, "table_name": facts.table, "strategy": facts.strategy, "prunable": 1,
        "spec": dict(facts.more) | {"where": facts.condition}, "pinned": pinned,
        "started_by": this_process().as_dict() | by | {"job": facts.recipe_job},
    }  # fmt: skip


def _end_crashed(connection: sa.Connection, ledger: Ledger, job: str) -> None:
    """Mark runs of the job whose process is gone as crashed: nobody continues a run of this kind.

    A run on another host, whose processes cannot be checked, counts as gone after a day of silence.
    """
    runs, leases = ledger.runs.c, ledger.leases.c
    silent = (ledger.database.backend.own_tables.epoch() - leases.lease_until).label("silent")
    query = sa.select(runs.run, leases.job, leases.owner, silent)
    joined = query.join_from(ledger.runs, ledger.leases, runs.run == leases.run)
    for row in connection.execute(joined.where(runs.job == job, runs.state == "running")).all():
        owner = Owner(**json.loads(row.owner))
        if owner.gone() or (not owner.here() and row.silent > SILENT):
            connection.execute(ledger.leases.delete().where(leases.job == row.job))
            ledger.end(connection, row.run, "crashed", None)
