"""Reads runs from a ledger, with their lease holders, pauses, samples and events."""

import json
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from batchops.errors import RefusedError
from batchops.finished_details import Cause
from batchops.ledger.ledger import Ledger
from batchops.ledger.owner import Owner
from batchops.ledger.rejected_rows import kept
from batchops.ledger.requests import Request, load, load_pauses, scopes_of
from batchops.ledger.run import Run
from batchops.ledger.run_events import RunEvent, load_events, load_plan
from batchops.ledger.samples import Sample, load_samples


@dataclass(frozen=True)
class LeaseHolder:
    """The process that holds a lease, and whether it is alive."""

    owner: Owner
    alive: bool
    """Whether its lease has not expired and its process may be running."""
    gone: bool
    """Whether its process certainly no longer runs."""
    token: str
    heartbeat: float
    """The time of the last heartbeat, in seconds since 1970 by the database's clock."""
    silent: float
    """The seconds since the last heartbeat."""


def lease_holders(connection: sa.Connection, ledger: Ledger) -> dict[int, LeaseHolder]:
    """Return the lease holder of each run that has not released its lease."""
    leases, now = ledger.leases, ledger.database.backend.own_tables.epoch()
    left, silent = (leases.c.lease_until - now).label("left"), (now - leases.c.renewed_at).label("silent")
    query = sa.select(leases.c.run, leases.c.owner, leases.c.token, leases.c.renewed_at, left, silent)
    found = {}
    for row in connection.execute(query.where(leases.c.run.is_not(None))):
        owner = Owner(**json.loads(row.owner))
        found[row.run] = LeaseHolder(
            owner, owner.holds(row.left), owner.gone(), row.token, row.renewed_at, max(row.silent, 0.0)
        )
    return found


@dataclass(frozen=True)
class Recorded:
    """A run in the ledger and, while it is running, its lease holder."""

    run: Run
    holder: LeaseHolder | None
    newest: bool = True
    """Whether its job has no later run."""
    pauses: tuple[Request, ...] = ()
    """The pauses in effect for the process that works on the run."""
    samples: tuple[Sample, ...] = ()
    """The last two samples of a run that is at work."""

    @property
    def rate(self) -> float | None:
        """The rows changed per second between the last two samples; None if unknown."""
        if len(self.samples) < 2 or not self.at_work:
            return None
        before, last = self.samples[-2:]
        return max(last.rows - before.rows, 0) / max(last.at - before.at, 0.001)

    @property
    def waiting(self) -> str:
        """Why the run waits, by its last heartbeat; empty while it works."""
        return self.samples[-1].waiting if self.samples and self.at_work else ""

    @property
    def at_work(self) -> bool:
        """Whether a process is working on the run, or waits to continue it."""
        return self.run.state == "running" and self.holder is not None and self.holder.alive

    @property
    def state(self) -> str:
        """The state in the ledger; for a run that has not ended also "paused", "stale" or "crashed".

        "stale": no heartbeat comes, but the process may be alive. "crashed": the process is gone.
        """
        if self.run.state != "running":
            return self.run.state
        if self.holder is None or self.holder.gone:
            return "crashed"
        if not self.holder.alive:
            return "stale"
        return "paused" if self.pauses else "running"

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes of the requests that the run obeys."""
        return scopes_of(self.run.run, self.run.job, self.run.by.get("job") or "")

    @property
    def next(self) -> str | None:
        """The command that continues the job; None if it is done, runs now, or has a later run."""
        if not self.newest or self.at_work or self.run.state == "done":
            return None
        return self.run.by.get("command") or None

    @property
    def share(self) -> float | None:
        """The share of the run that is done, by the rows that its plan expected; None if unknown."""
        if self.run.state == "done":
            return 1.0
        expected = self.run.by.get("expected") or {}
        done = {"read": self.run.read, "rows": self.run.rows}
        return next((min(done[name] / rows, 0.99) for name, rows in expected.items() if rows), None)


def load_runs(
    ledger: Ledger, *, name: str | None = None, job: str | None = None, limit: int = 1
) -> list[Recorded]:  # fmt: skip
    """Return the runs, newest first; none if there is no ledger yet.

    `name`: the number of a run, a table, or a recipe's job. `job`: the key of a job.
    """
    with ledger.database.reading() as connection:
        state = ledger.state(connection)
        if state == "older":
            raise RefusedError(
                "The ledger was created by an older version of batchops.",
                "the next run upgrades it, and so does `batchops ledger init --apply`.",
            )
        if state == "absent":
            return []
        where = sa.true() if name is None else _named(ledger, name)
        where = where if job is None else ledger.runs.c.job == job
        runs = ledger.select_runs(connection, where, limit=limit)
        holders = lease_holders(connection, ledger)
        newest = _newest(connection, ledger, where, limit)
        pauses = load_pauses(connection, ledger)
        shown = {run.run for run in runs} & holders.keys()
        samples = {run: tuple(load_samples(connection, ledger, run, 2)) for run in shown}
    found = [Recorded(run, holders.get(run.run), run.run in newest) for run in runs]
    return [
        replace(
            one, pauses=tuple(pauses[scope] for scope in one.scopes if scope in pauses),
            samples=samples.get(one.run.run, ()),
        )
        for one in found
    ]  # fmt: skip


def load_ring(ledger: Ledger, run: int) -> list[Sample]:
    """Return all samples that are kept of a run, the oldest first."""
    with ledger.database.reading() as connection:
        return load_samples(connection, ledger, run)


def load_kept(ledger: Ledger, run: int) -> tuple[dict[str, Any] | None, list[RunEvent]]:
    """Return the plan of a run and its last events."""
    with ledger.database.reading() as connection:
        return load_plan(connection, ledger, run), load_events(connection, ledger, run)


def load_requests(ledger: Ledger, recorded: Recorded) -> list[Request]:
    """Return the requests to the run, to its job and to every run, the oldest first."""
    with ledger.database.reading() as connection:
        return load(connection, ledger, recorded.scopes)


def _named(ledger: Ledger, name: str) -> sa.ColumnElement[bool]:
    runs = ledger.runs.c
    if name.isdecimal():
        return runs.run == int(name)
    job = json.dumps({"job": name})[1:-1]
    return sa.or_(
        runs.table_name == name,
        runs.table_name.endswith(f".{name}", autoescape=True),
        runs.started_by.contains(job, autoescape=True),
    )


def _newest(connection: sa.Connection, ledger: Ledger, where: sa.ColumnElement[bool], limit: int) -> set[int]:
    """Return the numbers of the newest run of each job that has one of the first `limit` runs."""
    runs = ledger.runs
    chosen = sa.select(runs.c.run, runs.c.job).where(where).order_by(runs.c.run.desc()).limit(limit).subquery()
    # Each job's runs are read once. A subquery for each run would take quadratic time for a job that runs often.
    jobs = sa.select(chosen.c.job).distinct().subquery()
    newest = sa.select(sa.func.max(runs.c.run)).join_from(jobs, runs, runs.c.job == jobs.c.job).group_by(runs.c.job)
    return set(connection.execute(newest).scalars())


def load_rejections(ledger: Ledger, run: int, keys: int = 3) -> list[Cause]:
    """Return why the run could not change its first ten thousand rejected rows, the most frequent reason first."""
    with ledger.database.reading() as connection:
        rows = kept(connection, ledger, run)
    names: dict[str, list[str]] = {}
    for row in rows:
        names.setdefault(row.reason, []).append(row.name)
    found = [Cause(reason, len(some), tuple(some[:keys])) for reason, some in names.items()]
    return sorted(found, key=lambda one: -one.attempts)
