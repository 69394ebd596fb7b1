"""A recipe after it was read: its jobs, in the order in which they run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from batchops.errors import UsageError, did_you_mean
from batchops.recipes.params import Param
from batchops.spec.models import VerbSpec
from batchops.spec.schedule import RecipeSchedule
from batchops.spec.verb import RecipeCall, Verb


@dataclass(frozen=True)
class RecipeJob:
    """One job of a recipe, its parameters filled in."""

    name: str
    verb: Verb
    spec: VerbSpec
    needs: tuple[str, ...] = ()
    """Jobs that must be done before it begins."""
    schedule: RecipeSchedule | None = None
    """When the job is due; None: it has neither `every` nor `cron`."""
    description: str = ""
    line: int = 1
    again: str = ""
    """A command that runs this job alone, with the same parameters."""
    in_file: bool = True
    """Whether the job comes from a recipe file; otherwise it was made from a command line."""

    @property
    def call(self) -> RecipeCall:
        """The job's name and the command that runs it again, which its verb needs to prepare it."""
        return RecipeCall(self.name, self.again)


@dataclass(frozen=True)
class Recipe:
    """A recipe file: its jobs in the order of the file, but each after the jobs that it needs."""

    path: Path
    jobs: tuple[RecipeJob, ...]
    params: tuple[Param, ...] = ()

    def chosen(self, names: Sequence[str]) -> tuple[RecipeJob, ...]:
        """Return the jobs of these names and those that they need; without names, all jobs.

        UsageError for a name that no job has.
        """
        needs = {job.name: job.needs for job in self.jobs}
        for name in names:
            if name not in needs:
                hint = did_you_mean(name, needs) or f"its jobs are {', '.join(needs)}."
                raise UsageError(f'Recipe "{self.path}" has no job "{name}".', hint)
        wanted = set(names or needs)
        for job in reversed(self.jobs):  # in `jobs`, each comes after those that it needs
            wanted |= set(job.needs) if job.name in wanted else set()
        return tuple(job for job in self.jobs if job.name in wanted)


def ordered(jobs: Sequence[RecipeJob]) -> tuple[RecipeJob, ...]:
    """Return the jobs in the order of the file, but each after the jobs that it needs."""
    by_name, places = {job.name: job for job in jobs}, {job.name: place for place, job in enumerate(jobs)}
    sorter = TopologicalSorter({job.name: job.needs for job in jobs})
    sorter.prepare()
    ready, done = list[str](), list[RecipeJob]()
    while sorter.is_active():
        ready += sorter.get_ready()
        first = min(ready, key=places.__getitem__)
        ready.remove(first)
        done.append(by_name[first])
        sorter.done(first)
    return tuple(done)


def circle(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """Return jobs that need each other in a circle, the first one again at the end; empty if there is no circle."""
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found[::-1]
    return []
