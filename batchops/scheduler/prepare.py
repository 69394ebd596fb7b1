"""Prepares a schedule: from recipe files to tasks, each with the ledger that keeps its fires."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

from batchops.bulk.spec import BulkSpec
from batchops.db.database import connect
from batchops.db.sessions import Timeouts
from batchops.db.url_references import is_reference
from batchops.db.urls import address
from batchops.errors import BatchopsError, RefusedError, UsageError
from batchops.events import Emit, Finished
from batchops.ledger.ledger import Ledger
from batchops.ledger.location import NONE, ledger_elsewhere
from batchops.queue.spec import WORK
from batchops.recipes.load import load
from batchops.recipes.recipe import RecipeJob
from batchops.recipes.run import run_job
from batchops.recipes.run_all import THROUGH
from batchops.runtime.stop import Stop
from batchops.scheduler.fires import Fires
from batchops.scheduler.misfires import MisfirePolicy, Schedule
from batchops.scheduler.places import FireLedgerPlace
from batchops.scheduler.work import Task
from batchops.spec import schedule as recipe
from batchops.spec.models import CHANGES, ROWS, VerbSpec, flag_of

TIMEOUTS = Timeouts(lock=5.0, statement=30.0)
"""Of the connections that keep fires; the jobs have their own."""
LONGEST_JOB_NAME = 200
"""Letters of a job's name that are in the table of fires."""


Listen = Callable[[RecipeJob], Emit]
"""Gives the listener of a job."""


@dataclass(frozen=True)
class FireLedger:
    """Where fires are kept, as far as it is said; None: as the job's runs are."""

    ledger: str | None = None
    schema: str | None = None


@dataclass(frozen=True)
class Scheduled:
    """A job with times of its own."""

    path: Path
    job: RecipeJob
    before: tuple[RecipeJob, ...]
    """Jobs that it needs and that have no times of their own: they run first, in the same fire."""
    schedule: Schedule
    url: str | None
    kept: FireLedger

    @property
    def alone(self) -> str:
        """A warning that other schedulers do not see its fires; empty if they do."""
        if self.kept.ledger == NONE:
            return (
                "its fires are kept in this process only: another scheduler runs the same fires, and missed fires "
                "are not made up for"
            )
        if self.kept.ledger is not None and "://" not in self.kept.ledger and not is_reference(self.kept.ledger):
            return f"its fires are kept in the file {self.kept.ledger}: a scheduler on another host runs the same fires"
        return ""


def scheduled(paths: Sequence[Path], params: Mapping[str, str], kept: FireLedger) -> list[Scheduled]:
    """The jobs with times, of all files; UsageError where one has a mistake, or none has times."""
    found = [each for path in paths for each in _of_file(path, params, kept)]
    if not found:
        raise UsageError(
            f"No job in {', '.join(map(str, paths))} has a schedule.",
            'give one every = "20s" or cron = "0 3 * * *".',
        )
    names: dict[str, RecipeJob] = {}
    for each in found:
        if each.job.name in names:
            raise UsageError(f'Two jobs are called "{each.job.name}".', "give each a name of its own.")
        names[each.job.name] = each.job
    return found


def _of_file(path: Path, params: Mapping[str, str], kept: FireLedger) -> Iterator[Scheduled]:
    loaded = load(path, params)
    with_times = {job.name for job in loaded.jobs if job.schedule is not None}
    for job in loaded.jobs:
        if job.schedule is None:
            continue
        before = tuple(other for other in loaded.chosen([job.name])[:-1] if other.name not in with_times)
        spec = job.spec
        own = FireLedger(spec.ledger, spec.ledger_schema) if isinstance(spec, BulkSpec) else FireLedger()
        place = FireLedger(kept.ledger or own.ledger, kept.schema or own.schema)
        yield Scheduled(path, job, before, _schedule(job, job.schedule, place), spec.url, place)


def _schedule(job: RecipeJob, keys: recipe.RecipeSchedule, place: FireLedger) -> Schedule:
    times = keys.times
    grace_time = keys.misfire_grace_time
    policy = MisfirePolicy(
        keys.overlap, keys.missed, keys.jitter.total_seconds(),
        None if grace_time is None else grace_time.total_seconds(),
    )  # fmt: skip
    what = [job.verb.name, job.spec.table, _what(job.spec), str(times), place.ledger == NONE]
    mark = sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:8]
    # Another job or other times under the same name are another schedule, which owes nothing from before.
    return Schedule(f"{job.name[:LONGEST_JOB_NAME]}#{mark}", times, policy)


def _what(spec: VerbSpec) -> dict[str, str]:
    """What is done to which rows, without how gently."""
    groups = (ROWS, CHANGES, WORK)
    return {
        name: str(getattr(spec, name))
        for name, field in type(spec).model_fields.items()
        if flag_of(field).group in groups or name == "params"
    }


def placed(jobs: Sequence[Scheduled], environ: Mapping[str, str], listen: Listen) -> dict[FireLedgerPlace, list[Task]]:
    """What is to be run, by the ledger that keeps its fires."""
    found: dict[FireLedgerPlace, list[Task]] = {}
    for each in jobs:
        url = each.url if each.kept.ledger is None else None
        shown = each.kept.ledger or "the database itself"
        place = FireLedgerPlace((url, each.kept), shown, partial(_open, url, each.kept, environ))
        run = partial(_run, each, environ)
        found.setdefault(place, []).append(Task(each.job.name, each.schedule, run, listen(each.job)))
    return found


def may_keep_fires(jobs: Sequence[Scheduled], environ: Mapping[str, str]) -> None:
    """RefusedError for a ledger that this role may not keep fires in; one that is not reached is tried again later."""
    for place in placed(jobs, environ, lambda _: lambda _: None):
        try:
            with place.open() as fires:
                database = fires.database
                with database.reading() as connection:
                    server = database.backend.catalog.server(connection)
                forbidden = server.refusal(database.address.shown) or fires.tables.obstacle(server.role)
        except RefusedError:
            raise
        except BatchopsError:
            continue
        if forbidden is not None:
            raise forbidden


def _run(each: Scheduled, environ: Mapping[str, str], emit: Emit, stop: Stop) -> Finished:
    """The job, after those that it needs; the first that is not done is the end."""
    for before in each.before:
        finished = run_job(before, environ, emit, stop)
        if finished.reason not in THROUGH:
            return finished
    return run_job(each.job, environ, emit, stop)


@contextmanager
def _open(url: str | None, kept: FireLedger, environ: Mapping[str, str]) -> Iterator[Fires]:
    if kept.ledger is not None:
        with ledger_elsewhere(kept.ledger, kept.schema, environ) as ledger:
            yield Fires(ledger)
        return
    with closing(connect(address(url, environ), TIMEOUTS)) as database:
        yield Fires(Ledger(database, kept.schema, inside=True))
