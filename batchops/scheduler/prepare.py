"""Prepares schedules: reads recipe files and makes tasks, each with the ledger that keeps its fires."""

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
"""The timeouts of the connections that keep fires; the jobs have their own."""
LONGEST_JOB_NAME = 200
"""How many characters of a job's name the table of fires keeps."""


Listen = Callable[[RecipeJob], Emit]
"""Returns the listener of a job."""


@dataclass(frozen=True)
class FireLedger:
    """Where the user wants fires to be kept; None: where the job's runs are kept."""

    ledger: str | None = None
    schema: str | None = None


@dataclass(frozen=True)
class Scheduled:
    """A job with fire times of its own."""

    path: Path
    job: RecipeJob
    before: tuple[RecipeJob, ...]
    """The jobs that it needs and that have no fire times: they run first, in the same fire."""
    schedule: Schedule
    url: str | None
    kept: FireLedger

    @property
    def alone(self) -> str:
        """A warning that other schedulers cannot see its fires; empty if they can."""
        if self.kept.ledger == NONE:
            return (
                "its fires are kept in this process only: another scheduler runs the same fires, and missed fires "
                "are not made up for"
            )
        if self.kept.ledger is not None and "://" not in self.kept.ledger and not is_reference(self.kept.ledger):
            return f"its fires are kept in the file {self.kept.ledger}: a scheduler on another host runs the same fires"
        return ""


def scheduled(paths: Sequence[Path], params: Mapping[str, str], kept: FireLedger) -> list[Scheduled]:
    """Return the scheduled jobs of all files; raise UsageError if a file has a mistake or no job has a schedule."""
    found = [each for path in paths for each in _of_file(path, params, kept)]
    if not found:
        raise UsageError(
            f"No job in {', '.join(map(str, paths))} has a schedule.",
            'give one every = "20s" or cron = "0 3 * * *".',
        )
    names = set[str]()
    for each in found:
        if each.job.name in names:
            raise UsageError(f'Two jobs are called "{each.job.name}".', "give each a name of its own.")
        names.add(each.job.name)
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
    # Another job or other times under the same name are a new schedule, which has no earlier fires to make up for.
    return Schedule(f"{job.name[:LONGEST_JOB_NAME]}#{mark}", times, policy)


def _what(spec: VerbSpec) -> dict[str, str]:
    """Return the fields that say which rows are changed and how, without limits and throttles."""
    groups = (ROWS, CHANGES, WORK)
    return {
        name: str(getattr(spec, name))
        for name, field in type(spec).model_fields.items()
        if flag_of(field).group in groups or name == "params"
    }


def placed(jobs: Sequence[Scheduled], environ: Mapping[str, str], listen: Listen) -> dict[FireLedgerPlace, list[Task]]:
    """Return the tasks of the jobs, by the ledger that keeps their fires."""
    found: dict[FireLedgerPlace, list[Task]] = {}
    for each in jobs:
        url = each.url if each.kept.ledger is None else None
        shown = each.kept.ledger or "the database itself"
        place = FireLedgerPlace((url, each.kept), shown, partial(_open, url, each.kept, environ))
        run = partial(_run, each, environ)
        found.setdefault(place, []).append(Task(each.job.name, each.schedule, run, listen(each.job)))
    return found


def may_keep_fires(jobs: Sequence[Scheduled], environ: Mapping[str, str]) -> None:
    """Raise RefusedError if this role may not keep fires in a ledger; skip ledgers that cannot be reached now."""
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
    """Run the job after the jobs that it needs; return the end of the first one that does not succeed."""
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
