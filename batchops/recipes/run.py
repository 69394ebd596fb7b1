"""One job of a recipe, run to its end without a face."""

from collections.abc import Callable, Mapping

from batchops import __version__
from batchops.db.urls import ON_COMMAND_LINE
from batchops.errors import BatchopsError
from batchops.events import Emit, Failure, Finished, Warned
from batchops.recipes.recipe import RecipeJob
from batchops.stop import Cancels, Stop
from batchops.verbs import VERBS, Ready

IN_RECIPE = (
    'A password stands in the recipe, where whoever reads the file reads it. Hint: url = "env:NAME", file:PATH or '
    "cmd:PROGRAM, or leave the password to ~/.pgpass or ~/.my.cnf."
)


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
            for warning in warnings_of(ready):
                emit(Warned(warning))
            planned(ready)
            return verb.perform(ready, emit, stop)
    except BatchopsError as error:
        finished = not_begun(job, error)
        emit(finished)
        return finished


def warnings_of(ready: Ready) -> list[str]:
    """What to tell the user once; a password that stands in a recipe is not on the command line."""
    return [IN_RECIPE if warning == ON_COMMAND_LINE else warning for warning in ready.warnings]


def not_begun(job: RecipeJob, error: BatchopsError) -> Finished:
    """The end of a job that could not begin."""
    failure = Failure(error.reason, error.message, error.hint)
    return Finished(job.verb, job.spec.table, error.reason, int(error.exit), __version__, error=failure)
