"""Runs the jobs of a recipe one after another: which are run, which are skipped, and the exit code of all."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from batchops.errors import Exit, gravity
from batchops.events import Finished
from batchops.recipes.recipe import RecipeJob
from batchops.runtime.stop import Stop

THROUGH = frozenset({"done", "already-done", "dry-run"})
"""Reasons to end after which a job counts as done, so that the jobs that need it may begin."""


@dataclass(frozen=True)
class Ended:
    """How one job ended."""

    job: RecipeJob
    finished: Finished | None
    """The job's end; None: it was not run."""
    skipped: str = ""
    """Why it was not run."""


def run_jobs(
    jobs: Iterable[RecipeJob], run: Callable[[RecipeJob], Finished], stop: Stop
) -> Iterator[Ended]:  # fmt: skip
    """Run each job whose needs are done, and yield how it ended.

    After a failure the others continue; after a request to stop, no further job begins.
    """
    ends: dict[str, Ended] = {}
    for job in jobs:
        why = "stopped before it started" if stop.asked else _unmet(job, ends)
        ends[job.name] = Ended(job, None, why) if why else Ended(job, run(job))
        yield ends[job.name]


def _unmet(job: RecipeJob, ends: dict[str, Ended]) -> str:
    for name in job.needs:
        finished = ends[name].finished
        if finished is None:
            return f'it needs "{name}", which was not run'
        if finished.reason not in THROUGH:
            return f'it needs "{name}", which is not done: {finished.reason}'
    return ""


def gravest(codes: Iterable[int]) -> int:
    """Return the gravest of several exit codes; 0 for none."""
    return min(codes, key=gravity, default=int(Exit.DONE))
