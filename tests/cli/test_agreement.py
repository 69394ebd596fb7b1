"""Plan, progress, summary, document and a count of one's own agree on what a run is to do and what it has left."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli
from tests.services.database import Database

PURGE = ("purge", "ev", "--where", "kind < 5")
BACKFILL = ("backfill", "ev", "--where", "kind < 50", "--set", "kind = kind + 1")
FK = "CREATE TABLE child (ev_id integer NOT NULL, FOREIGN KEY (ev_id) REFERENCES ev (id))"

pytestmark = pytest.mark.in_turn


@dataclass
class Job:
    """Runs a job and gathers what each of its texts says."""

    cli: Cli
    database: Database
    folder: Path

    def __call__(self, *words: object) -> dict[str, Any]:
        """The document, and what stood in the plan, the beginning, the last progress line and the summary."""
        env, events = {"BATCHOPS_URL": self.database.url}, self.folder / "events"
        plan = self.cli(*words, "-n", "--json", env=env).json()["plan"]
        events.unlink(missing_ok=True)
        yes = () if words[0] == "drain" else ("-y",)
        done = self.cli(*words, *yes, "--json", "--progress-every", "1ms", "--events", events, env=env)
        told = [json.loads(line) for line in events.read_text().splitlines()]
        started = next(one for one in told if one["event"] == "started")
        lines = [line for line in done.err.splitlines() if ": after " in line]
        return done.json() | {"plan": plan, "started": started, "progress": lines[-1]}

    def matching(self, condition: str) -> int:
        """What a person counts."""
        return int(self.database.scalar(f"SELECT count(*) FROM ev WHERE {condition}"))


@pytest.fixture
def job(cli: Cli, ev: Database, tmp_path: Path) -> Job:
    """`job(words…)` on the thousand rows of ev."""
    return Job(cli, ev, tmp_path)


def test_a_purge_that_a_limit_ends_and_one_that_goes_on(job: Job) -> None:
    limited = job(*PURGE, "--max-rows", 100, "--batch-size", 50, "--count")
    assert limited["plan"]["estimate"] == limited["started"]["estimate"] == 500
    assert (limited["started"]["counted"], limited["started"]["max_rows"]) == (True, 100)
    assert "100 rows (100 % done)" in limited["progress"]
    assert (limited["reason"], limited["left"], job.matching("kind < 5")) == ("max-rows", 400, 400)
    rest = job(*PURGE, "--batch-size", 50, "--count")
    assert (rest["plan"]["estimate"], rest["rows"], rest["left"]) == (400, 400, 0)


def test_rows_that_the_database_refuses_are_left(job: Job) -> None:
    job.database.execute(FK)
    job.database.execute("INSERT INTO child VALUES (11), (502), (903)")
    words = (*PURGE, "--allow", "fk-index", "--batch-size", 50)
    for more in ((), ("--count",)):
        done = job(*words, *more)
        assert (done["reason"], done["rejected"], done["left"], job.matching("kind < 5")) == ("incomplete", 3, 3, 3)
        # MariaDB indexes every foreign key. Three refusals within a millisecond are one line, at the first of them.
        assert re.search(r"\b[1-3] rejected", done["progress"]) or done["plan"]["left_out"]


def test_rows_that_are_refused_before_a_limit_are_left_with_those_not_reached(job: Job) -> None:
    """Not they alone: the run is incomplete, and has not come to its end either."""
    job.database.execute("ALTER TABLE ev RENAME TO old_ev")
    job.database.execute("CREATE TABLE ev (id bigint PRIMARY KEY, kind integer, CHECK (kind <> 8))")
    job.database.execute("INSERT INTO ev SELECT id, kind FROM old_ev WHERE kind < 8")
    limited = job(*BACKFILL, "--max-batches", 4, "--batch-size", 40, "--max-rejected", 900, "--count")
    assert (limited["reason"], limited["exit"], limited["rejected"] > 0) == ("incomplete", 3, True)
    assert limited["left"] == 800 - limited["rows"], limited
    assert "it continues, and once more" in limited["error"]["hint"]
    rest = job(*BACKFILL, "--batch-size", 40, "--max-rejected", 900, "--count")
    assert (rest["rows"], rest["rejected"], rest["left"]) == (700, 100, 100)
    assert rest["error"]["hint"].startswith("fix the cause and run it again: it retries these rows alone")


@pytest.mark.full
def test_a_backfill_that_goes_on_counts_what_it_has_not_come_by(job: Job) -> None:
    """Every row still matches once it was changed: a count of the condition would say nothing."""
    limited = job(*BACKFILL, "--max-rows", 300, "--batch-size", 50, "--count")
    assert (limited["reason"], limited["left"]) == ("max-rows", 700)
    rest = job(*BACKFILL, "--batch-size", 50, "--count")
    assert (rest["plan"]["estimate"], rest["started"]["rows"], rest["left"]) == (700, 300, 0)
    assert "1,000 rows" in rest["progress"]
    assert job.database.scalar("SELECT sum(kind) FROM ev") == 5500


def test_the_plan_takes_pauses_and_limits_into_account(job: Job) -> None:
    """Fifty batches of ten rows with a second after each; five of them where the rows are limited."""
    slow = (*PURGE, "--batch-size", 10, "--sleep", "1s", "--count", "-n", "--json")
    env = {"BATCHOPS_URL": job.database.url}
    seconds = [
        job.cli(*slow, *more, env=env).json()["plan"]["seconds"]
        for more in ((), ("--max-rows", 50), ("--max-batches", 5), ("--max-time", "20s"))
    ]
    assert seconds == [pytest.approx(50, abs=1), pytest.approx(5, abs=1), pytest.approx(5, abs=1), 20]


def test_a_pipe_says_how_many_are_left(job: Job) -> None:
    env = {"BATCHOPS_URL": job.database.url}
    done = job.cli(*PURGE, "-y", "--max-batches", 2, "--batch-size", 50, "--count", env=env)
    assert f", {job.matching('kind < 5')} left" in done.out, done
    job.database.execute("DELETE FROM ev WHERE kind < 5")
    assert "left" not in job.cli(*PURGE, "-y", "--count", env=env).out


def test_a_drain_says_how_many_rows_are_pending_and_left(job: Job) -> None:
    words = ("drain", "ev", "--where", "kind = 1", "--set", "note = 'x'", "--done", "kind = 100", "--batch-size", 20)
    limited = job(*words, "--max-rows", 40)
    assert "rows" in limited["plan"]
    assert limited["started"]["estimate"] is not None
    assert "40 rows (100 % done)" in limited["progress"]
    assert (limited["left"], job.matching("kind = 1")) == (60, 60)
    assert job(*words)["left"] == 0
