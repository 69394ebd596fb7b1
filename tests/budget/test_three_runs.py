"""Three runs under one budget, of which one is killed."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.command import Batchops
from tests.figures import Figures
from tests.services.database import Database
from tests.waiting import until

ROWS, RATE = 30_000, 600


def table(database: Database, name: str) -> None:
    database.execute(f"CREATE TABLE {name} (id integer PRIMARY KEY)")
    database.insert(name, ["id"], [(i,) for i in range(ROWS)])


def shown(batchops: Batchops, budget: str) -> dict[str, Any]:
    told = batchops("budget", "show", budget, "--json")
    assert told.code == 0, told.err
    found: dict[str, Any] = told.json()
    return found


def shares(batchops: Batchops, budget: str) -> list[float]:
    return [run["share"]["rate"] for run in shown(batchops, budget)["runs"]]


@pytest.mark.full
@pytest.mark.parametrize("kept_in", ["target", "file"])
@pytest.mark.in_turn
def test_three_runs_share_a_rate_and_one_is_killed(
    database: Database, batchops: Batchops, tmp_path: Path, kept_in: str, figures: Figures
) -> None:
    budget = f"{database.url if kept_in == 'target' else tmp_path / 'budget.db'}#nightly"
    told = batchops("budget", "set", budget, "--rate", f"{RATE}/s")
    assert (told.code, told.out) == (0, f"Budget nightly: {RATE}/s rows.\n"), told.err
    names = ("a", "b", "c")
    for name in names:
        table(database, name)
    runs = [
        batchops.start("purge", name, "--url", database.url, "--all-rows", "-yq", "--budget", budget) for name in names
    ]
    until(lambda: shares(batchops, budget) == [RATE / 3] * 3)
    speeds = measured(database, names)
    assert sum(speeds) == pytest.approx(RATE, rel=0.1)
    assert speeds == [pytest.approx(RATE / 3, rel=0.2)] * 3
    runs[0].kill()
    until(lambda: shares(batchops, budget) == [RATE / 2] * 2)
    speeds = measured(database, names[1:])
    assert sum(speeds) == pytest.approx(RATE, rel=0.1)
    figures(rate=RATE, two=[round(speed) for speed in speeds])
    told = batchops("budget", "set", budget, "--rate", "1000000/s")
    assert told.code == 0
    assert [run.wait(120) for run in runs[1:]] == [0, 0]
    assert left(database, names[1:]) == 0
    assert shown(batchops, budget)["runs"] == []


def measured(database: Database, names: tuple[str, ...], seconds: float = 20.0) -> list[float]:
    """Rows a second of each over so long: a batch has those of a second, so a few of them more or less."""
    before, begun = [left(database, (name,)) for name in names], time.monotonic()
    time.sleep(seconds)
    after, took = [left(database, (name,)) for name in names], time.monotonic() - begun
    return [(one - two) / took for one, two in zip(before, after, strict=True)]


def left(database: Database, names: tuple[str, ...]) -> int:
    return sum(database.scalar(f"SELECT count(*) FROM {name}") for name in names)


@pytest.mark.in_turn
def test_a_purge_keeps_to_a_budget(database: Database, batchops: Batchops, tmp_path: Path) -> None:
    table(database, "a")
    database.execute("DELETE FROM a WHERE id >= 900")
    budget = f"{tmp_path / 'budget.db'}#nightly"
    words = ("purge", "a", "--url", database.url, "--all-rows", "--budget", budget)
    missing = batchops("budget", "set", budget)
    assert (missing.code, "give --rate, --workers or both" in missing.err) == (2, True)
    assert batchops("budget", "set", budget, "--rate", "300/s").code == 0
    plan = batchops(*words, "--dry-run")
    assert "with a share of the budget nightly (300 rows/s)" in plan.out
    done = batchops(*words, "-yq", "--json").json()
    assert (done["reason"], done["rows"]) == ("done", 900)
    assert done["seconds"] >= (900 - 300) / 300
    assert [one["throttle"] for one in done["throttled_by"]] == ["budget"]


@pytest.mark.parametrize(
    ("budget", "code", "says"),
    [
        ("nightly", 2, "it names no budget: write URL#NAME"),
        ("{file}#", 2, "it names no budget"),
        ("{file}#other", 2, 'There is no budget "other"'),
        ("{file}.none#nightly", 10, "Cannot connect"),
        ("mysql://nobody:secret@127.0.0.1:1/x#nightly", 10, "Cannot connect"),
    ],
)
def test_no_budget(sqlite: Database, batchops: Batchops, tmp_path: Path, budget: str, code: int, says: str) -> None:
    table(sqlite, "a")
    file = tmp_path / "budget.db"
    assert batchops("budget", "set", f"{file}#nightly", "--rate", "300/s").code == 0
    budget = budget.format(file=file)
    told = batchops("purge", "a", "--url", sqlite.url, "--all-rows", "-y", "--budget", budget)
    assert (told.code, says in told.err, "secret" in told.err) == (code, True, False), told
    assert sqlite.scalar("SELECT count(*) FROM a") == ROWS
