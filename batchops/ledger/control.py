"""ask(): writes a request, such as a pause or a stop, for each run that a target names."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import sqlalchemy as sa

from batchops.errors import UsageError
from batchops.ledger.history import Recorded, load_runs
from batchops.ledger.ledger import Ledger
from batchops.ledger.requests import (
    EVERY_RUN,
    FOR_THE_PROCESS,
    Action,
    Request,
    add,
    load_pauses,
    scope_of_job,
    scope_of_run,
)
from batchops.ledger.resume import ENDS, LIMITS

MOST_RUNS = 10_000
"""How many of the newest runs `--all` searches for those at work."""
Effect = Literal["asked", "not-running", "not-paused"]
"""Whether a request was written, or why it would have changed nothing."""


@dataclass(frozen=True)
class Target:
    """The runs that a request is for; exactly one of the fields is set."""

    run: str | None = None
    """The number of a run; or a table or a recipe's job, which stands for its newest run."""
    job: str | None = None
    """The name of a recipe's job, or the number of one of its runs: the job's present run and all later ones."""
    every: bool = False
    """Every run that is at work now."""
    database: bool = False
    """Every run in this ledger, now and later."""


@dataclass(frozen=True)
class Answer:
    """The result of a request."""

    scope: str
    effect: Effect
    run: Recorded | None = None
    """The run after the request, or the newest run of the job; None if the request is for every run."""
    every_pause: Request | None = None
    """The pause that keeps every run paused after the request."""

    @property
    def pauses(self) -> tuple[Request, ...]:
        """The pauses that are in effect for the target after the request."""
        if self.run is not None:
            return self.run.pauses
        return () if self.every_pause is None else (self.every_pause,)


def ask(
    ledger: Ledger, target: Target, action: Action, reason: str = "", settings: Mapping[str, Any] | None = None,
    possible: Callable[[Recorded], None] = lambda _: None,
) -> list[Answer]:  # fmt: skip
    """Write the request for every run of the target; raise UsageError if there is no run of that name.

    `possible` raises an error if the request cannot be made to a run.
    """
    if target.database:
        ledger.make()  # the runs to pause may only come later
    meant = list(_targeted(ledger, target, action))
    for _, one in meant:
        if one is not None:
            possible(one)
    with ledger.database.transaction() as connection:
        return [_write_request(connection, ledger, scope, one, action, reason, settings or {}) for scope, one in meant]


def _targeted(ledger: Ledger, target: Target, action: Action) -> Iterator[tuple[str, Recorded | None]]:
    if target.database:
        yield EVERY_RUN, None
    elif target.every:
        for one in load_runs(ledger, limit=MOST_RUNS):
            own = scope_of_run(one.run.run)
            if one.at_work or (action == "resume" and any(pause.scope == own for pause in one.pauses)):
                yield own, one
    elif target.job is not None:
        one = _newest(ledger, target.job)
        named = target.job == one.run.by.get("job")
        if not named and not target.job.isdecimal():
            raise UsageError(
                f'"{target.job}" is no job of a recipe.', f"--job {one.run.run} is the job of run {one.run.run}."
            )
        (newest,) = [one] if named else load_runs(ledger, job=one.run.job)
        yield scope_of_job(target.job if named else one.run.job), newest
    else:
        one = _newest(ledger, target.run or "")
        if action in ("pause", "set"):
            _refuse_ended(one)
        yield scope_of_run(one.run.run), one


def _newest(ledger: Ledger, name: str) -> Recorded:
    found = load_runs(ledger, name=name)
    if not found:
        what = f"run {name}" if name.isdecimal() else f'run of a table or job "{name}"'
        raise UsageError(f"There is no {what} in this ledger.", "see `batchops runs`.")
    return found[0]


def _refuse_ended(one: Recorded) -> None:
    """Raise UsageError if the run has ended and no process will continue it."""
    state, run = one.run.state, one.run.run
    if not one.at_work and (state in ENDS | LIMITS or not one.newest):
        raise UsageError(
            f"Run {run} has ended ({state}).", f"--job {run} is for this job's later runs; see `batchops runs`."
        )


def _write_request(
    connection: sa.Connection, ledger: Ledger, scope: str, one: Recorded | None, action: Action, reason: str,
    settings: Mapping[str, Any],
) -> Answer:  # fmt: skip
    effect: Effect = "asked"
    if action in ("stop", "cancel"):
        if one is None or one.holder is None or not one.at_work:
            return Answer(scope, "not-running", one)
        # Only for the process that holds the lease now, not for one that continues the run later.
        add(connection, ledger, scope_of_run(one.run.run), action, reason, settings, lease=one.holder.token)
    elif action == "set":
        effect = _set(connection, ledger, scope, one, reason, settings)
    elif action == "resume" and scope not in load_pauses(connection, ledger):
        effect = "not-paused"
    else:
        add(connection, ledger, scope, action, reason, settings)
    held = load_pauses(connection, ledger)
    if one is None:
        return Answer(scope, effect, every_pause=held.get(EVERY_RUN))
    return Answer(scope, effect, replace(one, pauses=tuple(held[name] for name in one.scopes if name in held)))


def _set(
    connection: sa.Connection, ledger: Ledger, scope: str, one: Recorded | None, reason: str,
    settings: Mapping[str, Any],
) -> Effect:  # fmt: skip
    """Write the settings: those for this process alone name its lease, the others last for later runs too."""
    here = {name: value for name, value in settings.items() if name in FOR_THE_PROCESS}
    lasting = {name: value for name, value in settings.items() if name not in FOR_THE_PROCESS}
    if lasting:
        add(connection, ledger, scope, "set", reason, lasting)
    if here and one is not None and one.holder is not None and one.at_work:
        add(connection, ledger, scope_of_run(one.run.run), "set", reason, here, lease=one.holder.token)
    elif not lasting:
        return "not-running"
    return "asked"
