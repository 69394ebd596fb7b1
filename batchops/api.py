"""The library's face: each verb as a function, with the options of the command of the same name."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Unpack

from batchops.bulk.job import run_bulk
from batchops.bulk.prepare import prepare_bulk
from batchops.events import Emit, Event, Finished
from batchops.outbox.job import run_relay
from batchops.outbox.prepare import prepare_relay
from batchops.outbox.spec import RelaySpec
from batchops.queue.handlers.function import Function
from batchops.queue.job import run_drain
from batchops.queue.prepare import prepare_drain
from batchops.queue.spec import DrainSpec
from batchops.recipes.load import load
from batchops.recipes.recipe import RecipeJob
from batchops.recipes.run import run_job
from batchops.recipes.run_all import one_after_another
from batchops.runtime.stop import Stop
from batchops.spec.models import BackfillSpec, BulkSpec, PurgeSpec, checked
from batchops.spec.typed import BackfillOptions, DrainOptions, PurgeOptions, RelayOptions


def purge(*, on_event: Emit | None = None, stop: Stop | None = None, **options: Unpack[PurgeOptions]) -> Finished:
    """Delete rows in small transactions, as `batchops purge` does without a question.

    `options` are those of the command: url, table, where, older_than, by, batch_size … Durations may be
    timedelta or text like "50ms". BatchopsError before the first write; from then on Finished tells the
    reason, the exit code and the error. `stop.ask("stopped")` from another thread ends it after a batch.
    """
    return _run("purge", checked(PurgeSpec, options), on_event, stop)


def backfill(*, on_event: Emit | None = None, stop: Stop | None = None, **options: Unpack[BackfillOptions]) -> Finished:
    """Update rows in small transactions, each at most once; `set` is a list of "column = expression".

    Otherwise like `purge`.
    """
    return _run("backfill", checked(BackfillSpec, options), on_event, stop)


def drain(
    *,
    handler: Function | None = None,
    on_event: Emit | None = None,
    stop: Stop | None = None,
    **options: Unpack[DrainOptions],
) -> Finished:
    """Hand pending rows to `handler(rows)` or `handler(rows, connection)`, as `batchops drain` does.

    Rows are dicts. The handler returns nothing, or a result a row: None or True for done; a text, False or an
    exception for failed. With `connection` it works inside the transaction that marks the rows. `options` are
    those of the command; without a handler they name one: call, exec, exec_batch, post or set.
    """
    with prepare_drain(checked(DrainSpec, options), os.environ, handler) as job:
        return run_drain(job, on_event or (lambda _: None), stop or Stop())


def relay(*, on_event: Emit | None = None, stop: Stop | None = None, **options: Unpack[RelayOptions]) -> Finished:
    """Deliver the unsent events of an outbox to `to`, in order and at least once, as `batchops relay` does."""
    with prepare_relay(checked(RelaySpec, options), os.environ) as job:
        return run_relay(job, on_event or (lambda _: None), stop or Stop())


def run(
    recipe: str | Path,
    *jobs: str,
    params: Mapping[str, str] = MappingProxyType({}),
    on_event: Callable[[str, Event], None] | None = None,
    stop: Stop | None = None,
    environ: Mapping[str, str] = os.environ,
) -> dict[str, Finished | None]:
    """Run the jobs of a recipe, one after another, as `batchops run` does without a question.

    `params` are texts, as for --param. How each job ended, by its name, in the order they ran in; None for one that
    was not run, as what it needs was not done. `on_event` hears the job's name with each event.
    """
    chosen, stop = load(Path(recipe), params).chosen(jobs), stop or Stop()

    def one(job: RecipeJob) -> Finished:
        return run_job(job, environ, partial(on_event, job.name) if on_event else lambda _: None, stop)

    return {end.job.name: end.finished for end in one_after_another(chosen, one, stop)}


def _run(verb: str, spec: BulkSpec, on_event: Emit | None, stop: Stop | None) -> Finished:
    with prepare_bulk(verb, spec, os.environ) as job:
        return run_bulk(job, on_event or (lambda _: None), stop or Stop())
