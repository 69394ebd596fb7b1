"""One job of a recipe, run to its end without a face."""

from collections.abc import Callable, Mapping

from batchops import __version__
from batchops.errors import BatchopsError
from batchops.events import Emit, Failure, Finished, Warned
from batchops.recipes.recipe import RecipeJob
from batchops.stop import Cancels, Stop
from batchops.verbs import VERBS, Ready


def run_job(
    job: RecipeJob,
    environ: Mapping[str, str],
    emit: Emit,
    stop: Stop,
    cancels: Cancels,
    planned: Callable[[Ready], None] = lambda _: None,
) -> Finished:
    """Plan and run it. Whatever stands in its way is told in what is returned, and as an event.

    `cancels` holds what breaks off the batch in hand, for as long as the job is at work. `planned` sees the plan.
    """
    verb = VERBS[job.verb]
    try:
        with verb.prepared(job.spec, environ, again=job.again) as ready, cancels.of(ready.database.cancel):
            for warning in ready.warnings:
                emit(Warned(warning))
            planned(ready)
            return verb.perform(ready, emit, stop)
    except BatchopsError as error:
        finished = not_begun(job, error)
        emit(finished)
        return finished


def not_begun(job: RecipeJob, error: BatchopsError) -> Finished:
    """The end of a job that could not begin."""
    failure = Failure(error.reason, error.message, error.hint)
    return Finished(job.verb, job.spec.table, error.reason, int(error.exit), __version__, error=failure)
