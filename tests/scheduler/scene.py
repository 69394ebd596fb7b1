"""Recipes with times, and what must be true of the fires that come of them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from batchops.events import ENDS
from batchops.spec.times import FireTimes
from tests.services.database import Database

GOOD = {"ran", "skipped", "coalesced", "taken over"}
LEFT = ("running", "queued")
"""What a signal may leave for the next scheduler: a fire that it was working on, and one that waits behind it."""
WORKED = ("ran", "taken over", "failed")
PURGE = 'verb = "purge"\ntable = "ev"\nwhere = "kind = 1"'
SLOW = 'batch-size = 10\nsleep = "100ms"'
"""A batch takes a tenth of a second."""


def recipe(path: Path, database: Database, **jobs: str) -> Path:
    """A file with those jobs, on that database."""
    tables = [f"[job.{name}]\n{text}\n" for name, text in jobs.items()]
    path.write_text(f'[defaults]\nurl = "{database.url}"\n' + "\n".join(tables))
    return path


def ev(database: Database, rows: int) -> None:
    """A table of which PURGE deletes every row."""
    database.execute("CREATE TABLE ev (id integer PRIMARY KEY, kind integer NOT NULL)")
    more(database, rows)


def more(database: Database, rows: int) -> None:
    """So many more."""
    if not rows:
        return
    first = 1 + int(database.scalar("SELECT coalesce(max(id), 0) FROM ev"))
    database.insert("ev", ("id", "kind"), [(n, 1) for n in range(first, first + rows)])


def there(database: Database) -> bool:
    """Whether a scheduler has made its tables and its schedules."""
    names = {
        "sqlite": "SELECT count(*) FROM sqlite_master WHERE name = 'batchops_schedule'",
        "postgresql": "SELECT count(to_regclass('batchops_schedule'))",
        "mysql": "SELECT count(*) FROM information_schema.tables WHERE table_schema = database()"
        " AND table_name = 'batchops_schedule'",
    }
    return bool(database.scalar(names[database.backend])) and bool(
        database.scalar("SELECT count(*) FROM batchops_schedule")
    )


def states(database: Database, job: str = "") -> Counter[str]:
    """Fires by state; none while there is no table yet."""
    if not there(database):
        return Counter()
    query = "SELECT state, count(*) FROM batchops_fire WHERE schedule LIKE :job GROUP BY state"
    return Counter(dict(database.rows(query, job=f"{job}%")))


@dataclass(frozen=True)
class Told:
    """What a scene came to."""

    states: Counter[str]
    longest_wait: float
    """Seconds between two starts, at the most."""
    wrong: tuple[str, ...]
    in_hand: int
    """Fires that nobody has ended: one that a signal met is left for the next scheduler to go on with."""


def told(database: Database, times_by_job: Mapping[str, FireTimes]) -> dict[str, Told]:
    """By job."""
    return {job: _told(database, job, times) for job, times in times_by_job.items()}


def _told(database: Database, job: str, times: FireTimes) -> Told:
    query = (
        "SELECT fire_at, state, started_at, finished_at FROM batchops_fire WHERE schedule LIKE :job ORDER BY fire_at"
    )
    rows = database.rows(query, job=f"{job}#%")
    in_hand = [at for at, state, _, finished in rows if state == "running" and not finished]
    waiting = [at for at, state, *_ in rows if state == "queued"][-1:]
    wrong = [
        f"{job}: {state} at {at} is no end"
        for at, state, _, finished in rows
        if at not in (*in_hand, *waiting) and (state not in ENDS or not finished)
    ]
    expected = [rows[0][0]]
    while expected[-1] < rows[-1][0]:
        expected.append(times.after(expected[-1]))
    if expected != [at for at, *_ in rows]:
        wrong.append(f"{job}: {set(expected) ^ {at for at, *_ in rows}} are missing or were never due")
    worked = sorted((started, finished) for _, state, started, finished in rows if state in WORKED)
    pairs = list(pairwise(worked))
    wrong += [f"{job}: {later} began before {earlier} had ended" for earlier, later in pairs if later[0] < earlier[1]]
    longest = max((later[0] - earlier[0] for earlier, later in pairs), default=0.0)
    return Told(Counter(state for _, state, *_ in rows), longest, tuple(wrong), len(in_hand))
