"""Runs one job of a recipe to its end, without output of its own."""

from collections.abc import Callable, Mapping

from batchops.db.urls import ON_COMMAND_LINE
from batchops.errors import BatchopsError
from batchops.events import Emit, Event, Failure, Finished, Warned
from batchops.recipes.recipe import RecipeJob
from batchops.runtime.stop import Stop
from batchops.runtime.threads import described
from batchops.spec.verb import Plan
from batchops.version import __version__

IN_RECIPE = (
    'The recipe contains a password, which anyone who can read the file can see. Hint: url = "env:NAME", file:PATH or '
    "cmd:PROGRAM, or leave the password to ~/.pgpass or ~/.my.cnf."
)


def run_job(
    job: RecipeJob,
    environ: Mapping[str, str],
    emit: Emit,
    stop: Stop,
    planned: Callable[[Plan], None] = lambda _: None,
) -> Finished:
    """Plan and run the job, and return how it ended.

    An error that prevents the run is in the returned value, and is emitted as an event. `planned` is called with the
    plan.
    """
    ends: list[Finished] = []
    raised: list[Exception] = []

    def receive(event: Event) -> None:
        ends.extend([event] if isinstance(event, Finished) else [])
        try:
            emit(event)
        except Exception as error:
            raised.append(error)
            raise

    try:
        with job.verb.prepare(job.spec, environ, recipe=job.call) as ready:
            for warning in warnings_of(job, ready.plan):
                receive(Warned(warning))
            planned(ready.plan)
            return ready.run(receive, stop)
    except Exception as error:
        if error in raised:
            raise
        if ends:
            return ends[0]
        finished = not_begun(job, error)
        emit(finished)
        return finished


def warnings_of(job: RecipeJob, plan: Plan) -> list[str]:
    """Return the plan's warnings; the one about a password names the recipe, not the command line, if that has it."""
    return [IN_RECIPE if job.in_file and warning == ON_COMMAND_LINE else warning for warning in plan.warnings]


def not_begun(job: RecipeJob, error: Exception) -> Finished:
    """Return the end of a job that an error kept from beginning."""
    if not isinstance(error, BatchopsError):
        error = BatchopsError(described(error), "this is a bug; BATCHOPS_DEBUG=1 shows where.")
    failure = Failure(error.reason, error.message, error.hint)
    return Finished(job.verb.name, job.spec.table, error.reason, int(error.exit), __version__, error=failure)
