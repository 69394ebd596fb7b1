"""The library: each verb as a function, with the options of the command of the same name."""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, ParamSpec, Unpack

from batchops import durations
from batchops.archive.destination import open_destination
from batchops.archive.prune import Pruned, plan_prune, prune
from batchops.archive.query.query import QueryResult, query
from batchops.errors import UsageError
from batchops.events import Emit, Event, Finished
from batchops.queue.handlers.function import Function
from batchops.recipes.load import load
from batchops.recipes.recipe import RecipeJob
from batchops.recipes.run import run_job
from batchops.recipes.run_all import run_jobs
from batchops.runtime.stop import Stop
from batchops.spec.models import checked
from batchops.spec.typed import (
    ArchiveOptions,
    BackfillOptions,
    DrainOptions,
    Duration,
    PurgeOptions,
    RelayOptions,
    ReplayOptions,
    RestoreOptions,
)
from batchops.spec.verb import Plan, Verb
from batchops.verbs import VERBS

P = ParamSpec("P")


def purge(*, on_event: Emit | None = None, stop: Stop | None = None, **options: Unpack[PurgeOptions]) -> Finished:
    """Delete rows in small transactions, as `batchops purge` does without a question.

    `options` are those of the command: url, table, where, older_than, by, batch_size … Durations may be
    timedelta or text like "50ms". Instead of url, `engine` may be an SQLAlchemy engine, whose URL is used.
    Before the first write BatchopsError is raised; after it Finished has the reason, the exit code and the error.
    `stop.ask("stopped")` from another thread ends the run after its batch.
    """
    return _run(purge, options, on_event, stop)


def backfill(*, on_event: Emit | None = None, stop: Stop | None = None, **options: Unpack[BackfillOptions]) -> Finished:
    """Update rows in small transactions, each at most once; `set` is a list of "column = expression".

    Otherwise like `purge`.
    """
    return _run(backfill, options, on_event, stop)


def archive(*, on_event: Emit | None = None, stop: Stop | None = None, **options: Unpack[ArchiveOptions]) -> Finished:
    """Move rows to the folder or table `to`: they are durable there before they are deleted here.

    Otherwise like `purge`.
    """
    return _run(archive, options, on_event, stop)


def drain(
    *,
    handler: Function | None = None,
    on_event: Emit | None = None,
    stop: Stop | None = None,
    **options: Unpack[DrainOptions],
) -> Finished:
    """Hand pending rows to `handler(rows)` or `handler(rows, connection)`, as `batchops drain` does.

    Rows are dicts. The handler returns nothing, or a result for each row: None or True for done; a text, False or an
    exception for failed. A handler that takes `connection`, an SQLAlchemy Connection, works in the transaction that
    marks the rows. `options` are those of the command; without `handler` they name one: call, exec, exec_batch, post
    or set.
    """
    return _run(drain, options, on_event, stop, handler=handler)


def relay(*, on_event: Emit | None = None, stop: Stop | None = None, **options: Unpack[RelayOptions]) -> Finished:
    """Deliver the unsent events of an outbox to `to`, in order and at least once, as `batchops relay` does."""
    return _run(relay, options, on_event, stop)


def replay(*, on_event: Emit | None = None, stop: Stop | None = None, **options: Unpack[ReplayOptions]) -> Finished:
    """Deliver events again that were sent, as `batchops outbox replay` does; nothing is written to the database."""
    return _run(replay, options, on_event, stop)


def restore(*, on_event: Emit | None = None, stop: Stop | None = None, **options: Unpack[RestoreOptions]) -> Finished:
    """Put the rows that are archived in `destination` back, as `batchops restore` does without a question."""
    return _run(restore, options, on_event, stop)


def archive_query(
    destination: str | os.PathLike[str], sql: str, *, run: int | None = None
) -> AbstractContextManager[QueryResult]:
    """Answer a SELECT over the archive in `destination`, as `batchops archive query` does.

    `with archive_query("archive/", "SELECT …") as result:` gives `result.columns`, and `result.rows`, which can be read
    once. Whole numbers, floating-point numbers and booleans are values of Python, and all else is its exact text.
    """
    return query(open_destination(os.fspath(destination)), sql, run)


def archive_prune(
    destination: str | os.PathLike[str], *, older_than: Duration | None = None, run: int | None = None
) -> Pruned:
    """Remove the runs that were archived so long ago, or one run, as `batchops archive prune` does without a question.

    The result has the `runs` that were removed with their `rows`, and the number of `files`.
    """
    age = durations.parse(older_than) if isinstance(older_than, str) else older_than
    return prune(plan_prune(open_destination(os.fspath(destination)), age, run))


def plan(verb: Callable[P, Finished], *args: P.args, **options: P.kwargs) -> Plan:
    """Return what a verb would do with these options; nothing is changed: `plan(purge, table="events", where="…")`.

    `rows(whole=True)` of the plan yields names and texts, `document()` returns what `--dry-run --json` prints, and
    `refusals` are those of the checks.
    """
    if args or (named := _verb_of(verb)) is None:
        raise UsageError(
            f"plan() takes a verb and its options by name; the verbs are {', '.join(VERBS)}.",
            'plan(purge, table="events", where="…").',
        )
    known: dict[str, Any] = {name: value for name, value in options.items() if name not in ("on_event", "stop")}
    more = {"handler": known.pop("handler")} if verb is drain and "handler" in known else {}
    with named.prepare(checked(named.spec, known), os.environ, **more) as job:
        return job.plan.rehearsed()


def run(
    recipe: str | Path,
    *jobs: str,
    params: Mapping[str, str] = MappingProxyType({}),
    on_event: Callable[[str, Event], None] | None = None,
    stop: Stop | None = None,
    environ: Mapping[str, str] = os.environ,
) -> dict[str, Finished | None]:
    """Run the jobs of a recipe, one after another, as `batchops run` does without a question.

    `params` are texts, as for --param. `on_event` is called with the job's name and each event. Returns how each job
    ended, by its name, in the order in which they ran; None for a job that was not run, as a job that it needs failed.
    """
    chosen, stop = load(Path(recipe), params).chosen(jobs), stop or Stop()

    def one(job: RecipeJob) -> Finished:
        return run_job(job, environ, partial(on_event, job.name) if on_event else lambda _: None, stop)

    return {end.job.name: end.finished for end in run_jobs(chosen, one, stop)}


def _verb_of(function: Callable[..., Finished]) -> Verb | None:
    """Return the verb that a function of this module is for; None for any other function."""
    return VERBS.get(function.__name__) if getattr(function, "__module__", "") == __name__ else None


def _run(
    function: Callable[..., Finished], options: Mapping[str, Any], on_event: Emit | None, stop: Stop | None, **more: Any
) -> Finished:  # fmt: skip
    verb = VERBS[function.__name__]
    with verb.prepare(checked(verb.spec, options), os.environ, **more) as job:
        return job.run(on_event or (lambda _: None), stop or Stop())
