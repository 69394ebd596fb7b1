"""Requests to runs, made by other processes: rows that tell who asked what and when; the heartbeat reads them.

A pause, its end and changed settings stay in effect for the next process of the run, or for later runs of the job. A
stop or a cancel is for one process: it names the lease that this process holds.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal

import sqlalchemy as sa

from batchops import durations
from batchops.ledger.ledger import Ledger
from batchops.ledger.owner import this_process

Action = Literal["pause", "resume", "stop", "cancel", "set"]
IN_SECONDS = ("sleep", "target_time")
"""The settings that are durations, kept in seconds."""
FOR_THE_PROCESS = ("max_rows",)
"""The settings that apply only to the process that works on the run now, and to no later one."""
BY_NAMES = ("throttle",)
"""The settings that hold several values by name; each value is set separately."""
EVERY_RUN = "database"
"""The scope of every run whose progress is in this ledger."""
NUMBERS_PER_STATEMENT = 500
LONGEST_NAME = 200
"""The most characters of a job's name in a scope, which is an index key; a longer name is hashed."""


@dataclass(frozen=True)
class Request:
    """What a user asked of a run, of a job, or of every run."""

    number: int
    scope: str
    action: str
    reason: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    lease: str | None = None
    """The token of the lease that a process must hold to obey it; None: any process that works on the run."""
    user: str = ""
    host: str = ""
    at: float = 0.0
    """Seconds since 1970 by the database's clock."""

    @property
    def by(self) -> str:
        """Who asked: ann@db1."""
        return f"{self.user}@{self.host}"

    @property
    def time(self) -> str:
        """When the request was made, as an ISO time in UTC."""
        return datetime.fromtimestamp(self.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def text(self) -> str:
        """The request in words: pause by ann@db1 at 2026-11-29T11:02:03Z (database): month-end closing."""
        kind = self.scope.partition(" ")[0]
        where = "" if kind == "run" else f" ({kind})"
        what = f" {self.settings_text}" if self.settings else ""
        reason = f": {self.reason}" if self.reason else ""
        return f"{self.action}{what} by {self.by} at {self.time}{where}{reason}"

    @property
    def settings_text(self) -> str:
        """The settings in words: --sleep 200 ms, --batch-size 500."""
        return ", ".join(
            f"--{name.replace('_', '-')} {text}"
            for name, value in self.settings.items()
            if value is not None
            for text in _setting_texts(name, value)
        )

    @property
    def paused(self) -> str:
        """A pause in words: paused by ann@db1 since 2026-11-29T11:02:03Z: month-end closing."""
        return f"paused by {self.by} since {self.time}" + (f": {self.reason}" if self.reason else "")


def _setting_texts(name: str, value: Any) -> list[str]:
    """Return the value as text; for a setting with several values, a text for each."""
    if name in BY_NAMES:
        return [f"{of}={text}" if text else of for of, text in value.items()]
    return [durations.show(value) if name in IN_SECONDS else str(value)]


def scope_of_run(run: int) -> str:
    """Return the scope of one run."""
    return f"run {run}"


def scope_of_job(job: str) -> str:
    """Return the scope of a job, by its key or its name in a recipe; in ASCII, so that any character set holds it."""
    name = json.dumps(job)[1:-1]
    return f"job {name if len(name) <= LONGEST_NAME else sha256(name.encode()).hexdigest()}"


def scopes_of(run: int, job: str, recipe_job: str = "") -> tuple[str, ...]:
    """Return the scopes that a run obeys, the widest first."""
    jobs = [scope_of_job(name) for name in (recipe_job, job) if name]
    return (EVERY_RUN, *jobs, scope_of_run(run))


def add(
    connection: sa.Connection, ledger: Ledger, scope: str, action: Action, reason: str = "",
    settings: Mapping[str, Any] | None = None, lease: str | None = None,
) -> None:  # fmt: skip
    """Record a request."""
    me, columns = this_process(), ledger.requests.c
    connection.execute(
        ledger.requests.insert().values(
            scope=scope,
            action=action,
            reason=ledger.storable[columns.reason](connection, reason),
            settings=json.dumps(dict(settings or {})),
            lease=lease,
            requested_by=json.dumps({"user": me.user, "host": me.host}),
            requested_at=ledger.database.backend.own_tables.epoch(),
        )
    )


def load(connection: sa.Connection, ledger: Ledger, scopes: Iterable[str]) -> list[Request]:
    """Return the requests to these scopes, the oldest first."""
    return _selected(connection, ledger, ledger.requests.c.scope.in_(list(scopes)))


def load_pauses(connection: sa.Connection, ledger: Ledger) -> dict[str, Request]:
    """Return the pauses in effect, by scope."""
    found = _selected(connection, ledger, ledger.requests.c.action.in_(["pause", "resume"]))
    return {one.scope: one for one in pauses(found)}


def _selected(connection: sa.Connection, ledger: Ledger, where: sa.ColumnElement[bool]) -> list[Request]:
    rows = connection.execute(sa.select(ledger.requests).where(where).order_by(ledger.requests.c.number))
    return [
        Request(
            row.number, row.scope, row.action, row.reason or "", json.loads(row.settings), row.lease,
            **json.loads(row.requested_by), at=row.requested_at,
        )
        for row in rows
    ]  # fmt: skip


def pauses(requests: Iterable[Request]) -> list[Request]:
    """Return the pauses in effect: the last one of each scope, unless it was resumed."""
    last = {one.scope: one for one in requests if one.action in ("pause", "resume")}
    return [one for one in last.values() if one.action == "pause"]


def to_stop(requests: Iterable[Request], lease: str) -> Request | None:
    """Return the request that asks the holder of that lease to stop; a cancel comes before a stop."""
    found = [one for one in requests if one.action in ("stop", "cancel") and one.lease == lease]
    return min(found, key=lambda one: (one.action != "cancel", one.number), default=None)


def settings(requests: Sequence[Request], scopes: Sequence[str], lease: str) -> dict[str, Any]:
    """Return the settings in effect for the holder of that lease: a later one replaces an earlier one of its scope.

    The settings of a run replace those of its job.
    """
    found: dict[str, Any] = {}
    for scope in scopes:
        for one in requests:
            if one.scope == scope and one.action == "set" and one.lease in (None, lease):
                named = {name: found.get(name, {}) | one.settings[name] for name in BY_NAMES if name in one.settings}
                found |= {**one.settings, **named}
    return found


def drop_over(connection: sa.Connection, ledger: Ledger, older_than: float) -> None:
    """Remove old requests that no run obeys any more.

    These are pauses, resumes and settings that later ones of the same scope have replaced, and those to a process that
    holds its lease no longer. Settings in effect stay: the next run of the job obeys them, whenever that is.
    """
    columns, before = ledger.requests.c, ledger.database.backend.own_tables.epoch() - older_than
    old = {row.number: row.scope for row in connection.execute(
        sa.select(columns.number, columns.scope).where(columns.requested_at < before)
    )}  # fmt: skip
    if not old:
        return
    held = set(connection.execute(sa.select(ledger.leases.c.token)).scalars())
    by_scope: dict[str, list[Request]] = {}
    scopes = sorted(set(old.values()))
    for i in range(0, len(scopes), NUMBERS_PER_STATEMENT):
        for one in load(connection, ledger, scopes[i : i + NUMBERS_PER_STATEMENT]):
            by_scope.setdefault(one.scope, []).append(one)
    gone = [one.number for some in by_scope.values() for one in _over(some, held) if one.number in old]
    for i in range(0, len(gone), NUMBERS_PER_STATEMENT):
        some = gone[i : i + NUMBERS_PER_STATEMENT]
        connection.execute(ledger.requests.delete().where(columns.number.in_(some)))


def _over(requests: Sequence[Request], held: Collection[str]) -> Iterator[Request]:
    """Yield the requests of one scope that nothing obeys any more; `held`: the tokens of the leases."""
    replaced = set[tuple[str, str]]()
    for one in reversed(requests):
        if one.lease is not None:
            if one.lease not in held:
                yield one
            continue
        parts = {*_parts(one)}
        if parts <= replaced:
            yield one
        replaced |= parts


def _parts(request: Request) -> Iterator[tuple[str, str]]:
    """Yield what a later request has to set as well to replace this one."""
    if request.action != "set":
        yield "pause", ""
        return
    for name, value in request.settings.items():
        yield from ((name, of) for of in value) if name in BY_NAMES else [(name, "")]
