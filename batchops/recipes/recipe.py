"""A recipe as it is understood: jobs in the order they run in."""

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
    """None: it has neither `every` nor `cron`."""
    description: str = ""
    line: int = 1
    again: str = ""
    """A command that runs this job alone, with the same parameters."""
    in_file: bool = True
    """Whether it is written in a recipe; else a command line has made it."""

    @property
    def call(self) -> RecipeCall:
        """What its verb prepares it with."""
        return RecipeCall(self.name, self.again)


@dataclass(frozen=True)
class Recipe:
    """A file of jobs, each after those that it needs, else as they are there."""

    path: Path
    jobs: tuple[RecipeJob, ...]
    params: tuple[Param, ...] = ()

    def chosen(self, names: Sequence[str]) -> tuple[RecipeJob, ...]:
        """The jobs of these names and those that they need, all for none; UsageError for a name there is not."""
        needs = {job.name: job.needs for job in self.jobs}
        for name in names:
            if name not in needs:
                hint = did_you_mean(name, needs) or f"its jobs are {', '.join(needs)}."
                raise UsageError(f'Recipe "{self.path}" has no job "{name}".', hint)
        wanted = set(names or needs)
        for job in reversed(self.jobs):  # each comes after those that it needs
            wanted |= set(job.needs) if job.name in wanted else set()
        return tuple(job for job in self.jobs if job.name in wanted)


def ordered(jobs: Sequence[RecipeJob]) -> tuple[RecipeJob, ...]:
    """The jobs as they are in the file, but each after those that it needs."""
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
    """Names that need each other in a circle, the first one again at the end; empty where there is none."""
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found[::-1]
    return []
