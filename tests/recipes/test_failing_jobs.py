"""A job that fails, before it begins or midway, keeps from running only those that need it; the gravest end counts."""

from pathlib import Path
from typing import Any

import pytest

import batchops as library
from batchops.events import Event, Finished, Started
from batchops.ledger.ledger import Ledger
from tests.command import Batchops
from tests.databases.numbered import numbered
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

# The rows stay pending when they are marked: that is seen in the first batch.
MIDWAY = 'verb = "drain"\ntable = "t"\nwhere = "n = 0"\nset = ["m = 1"]\ndone = ["n = n"]\nlease-in = "none"'
MISSING = 'verb = "purge"\ntable = "nowhere"\nwhere = "id > 0"'
REFUSED = 'verb = "backfill"\ntable = "t"\nwhere = "id > 0"\nset = ["id = id + 1"]'
WELL = 'verb = "purge"\ntable = "t"\nwhere = "id <= {}"'


@pytest.fixture
def table(database: Database) -> Database:
    numbered(database, 100, n=("integer", "0"), m=("integer", "0"))
    return database


def recipe(tmp_path: Path, database: Database, **jobs: str) -> Path:
    file = tmp_path / "jobs.toml"
    url = f"url = '{database.url}'"
    file.write_text("\n".join(f"[job.{name}]\n{text}\n{url}" for name, text in jobs.items()))
    return file


def test_the_others_go_on(table: Database, batchops: Batchops, tmp_path: Path) -> None:
    file = recipe(
        tmp_path, table, a=MIDWAY, b=WELL.format(10), c=MISSING, d=REFUSED, e=WELL.format(20),
        f=WELL.format(30) + '\nneeds = "a"',
    )  # fmt: skip
    done = batchops("run", file, "-y", "--json")
    jobs = {job["job"]: (job["reason"], job["rows"]) for job in done.json()["jobs"]}
    assert jobs == {
        "a": ("refused", 0), "b": ("done", 10), "c": ("not-found", 0), "d": ("refused", 0), "e": ("done", 10),
        "f": ("skipped", 0),
    }  # fmt: skip
    assert done.code == done.json()["exit"] == 12


@pytest.mark.parametrize("jobs", [(MISSING, WELL.format(10)), (WELL.format(10), MISSING)], ids=["first", "last"])
def test_the_gravest_end_counts_wherever_it_stands(
    sqlite: Database, batchops: Batchops, tmp_path: Path, jobs: tuple[str, str]
) -> None:
    numbered(sqlite, 100)
    assert batchops("run", recipe(tmp_path, sqlite, a=jobs[0], b=jobs[1]), "-y", "-q").code == 10
    assert sqlite.scalar("SELECT count(*) FROM t") == 90


def test_a_bug_in_one_job_is_that_job_s(table: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    advance, events = Ledger.advance, []

    def fall(self: Ledger, *args: Any) -> None:
        if [event for _, event in events][-1].table == "t" and len(events) < 2:
            raise ZeroDivisionError
        advance(self, *args)

    def hear(job: str, event: Event) -> None:
        if isinstance(event, Started | Finished):
            events.append((job, event))

    monkeypatch.setattr(Ledger, "advance", fall)
    file = recipe(tmp_path, table, a=WELL.format(5), b=WELL.format(10))
    ends = library.run(file, on_event=hear)
    assert {name: (end.reason, end.exit, end.rows) for name, end in ends.items() if end} == {
        "a": ("failed", 1, 0), "b": ("done", 0, 10),
    }  # fmt: skip
    assert [(job, type(event)) for job, event in events] == [
        ("a", Started), ("a", Finished), ("b", Started), ("b", Finished),
    ]  # fmt: skip


def test_a_signal_keeps_the_rest_from_beginning(table: Database, tmp_path: Path) -> None:
    stop = library.Stop()

    def hear(_: str, event: Event) -> None:
        if isinstance(event, Started):
            stop.ask("signal", 15)

    ends = library.run(recipe(tmp_path, table, a=WELL.format(5), b=WELL.format(10)), on_event=hear, stop=stop)
    assert ends["a"] is not None
    assert (ends["a"].reason, ends["a"].exit, ends["b"]) == ("signal", 143, None)


def test_a_listener_that_raises_ends_them_all(sqlite: Database, tmp_path: Path) -> None:
    numbered(sqlite, 100)

    def hear(_: str, event: Event) -> None:
        if isinstance(event, Started):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        library.run(recipe(tmp_path, sqlite, a=WELL.format(5), b=WELL.format(10)), on_event=hear)
    assert sqlite.scalar("SELECT count(*) FROM t") == 100
    assert sqlite.scalar("SELECT count(*) FROM batchops_lease") == 0
