"""A recipe as it is understood: jobs in the order they run in."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from batchops.errors import UsageError, did_you_mean
from batchops.recipes.order import in_order, with_needs
from batchops.recipes.params import Param
from batchops.spec.models import VerbSpec
from batchops.spec.schedule import RecipeSchedule


@dataclass(frozen=True)
class RecipeJob:
    """One job of a recipe, its parameters filled in."""

    name: str
    verb: str
    spec: VerbSpec
    needs: tuple[str, ...] = ()
    """Jobs that must be done before it begins."""
    schedule: RecipeSchedule | None = None
    """None: it has neither `every` nor `cron`."""
    description: str = ""
    line: int = 1
    again: str = ""
    """A command that runs this job alone, with the same parameters."""


@dataclass(frozen=True)
class Recipe:
    """A file of jobs, each after those that it needs, else as they stand there."""

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
        wanted = with_needs(names, needs) if names else set(needs)
        return tuple(job for job in self.jobs if job.name in wanted)


def ordered(jobs: Sequence[RecipeJob]) -> tuple[RecipeJob, ...]:
    """Each after those that it needs."""
    by_name = {job.name: job for job in jobs}
    return tuple(by_name[name] for name in in_order({job.name: job.needs for job in jobs}))
