"""The jobs of a recipe, one after another: which are run, which are skipped, and how it all ended."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from batchops.errors import Exit, gravity
from batchops.events import Finished
from batchops.recipes.recipe import RecipeJob
from batchops.runtime.stop import Stop

THROUGH = frozenset({"done", "already-done", "dry-run"})
"""Reasons to end by which a job is done, so that those that need it may begin."""


@dataclass(frozen=True)
class Ended:
    """How one job ended."""

    job: RecipeJob
    finished: Finished | None
    """None: it was not run."""
    skipped: str = ""
    """Why it was not run."""


def run_jobs(
    jobs: Iterable[RecipeJob], run: Callable[[RecipeJob], Finished], stop: Stop
) -> Iterator[Ended]:  # fmt: skip
    """Run each whose needs are done; after a failure the others continue, once asked to stop none begins."""
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
    """One exit code for several."""
    return min(codes, key=gravity, default=int(Exit.DONE))
