"""A drain and a relay that share a budget: they keep to its rate and its workers, and a recipe names it as a key."""

import json
from pathlib import Path

import pytest

from tests.budget.test_three_runs import shares, shown
from tests.command import Batchops
from tests.outbox.boxes import delivered, event, made, saved
from tests.queue.jobs import DRAIN, jobs, states
from tests.services.database import Database
from tests.waiting import ended, until

RATE = 100


def budget(batchops: Batchops, folder: Path, *more: str) -> str:
    place = f"{folder / 'budget.db'}#nightly"
    assert batchops("budget", "set", place, "--rate", f"{RATE}/s", *more).code == 0
    return place


@pytest.mark.in_turn
def test_a_drain_keeps_to_a_budget(database: Database, batchops: Batchops, tmp_path: Path) -> None:
    jobs(database, 3 * RATE)
    place = budget(batchops, tmp_path)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        '[job.work]\nverb = "drain"\ntable = "jobs"\nwhere = "status = \'pending\'"\nset = ["n = n + 1"]\n'
        f'done = ["status = \'done\'"]\nbudget = "{place}"\n'
    )
    env = {"BATCHOPS_URL": database.url}
    plan = batchops("run", recipe, "-n", env=env)
    assert f"nightly ({RATE} rows/s)" in plan.out + plan.err, plan
    (done,) = batchops("run", recipe, "-y", "--json", env=env).json()["jobs"]
    assert (done["reason"], done["rows"], done["seconds"] >= 2.0) == ("done", 3 * RATE, True), done
    assert [one["throttle"] for one in done["throttled_by"]] == ["budget"]
    missing = batchops("drain", "jobs", *DRAIN, "--set", "n = 1", "--budget", f"{place}x", env=env)
    assert (missing.code, "There is no budget" in missing.err) == (2, True), missing


@pytest.mark.full
@pytest.mark.in_turn
def test_a_drain_and_a_relay_share_it_fairly_and_a_killed_ones_share_returns(
    database: Database, batchops: Batchops, tmp_path: Path
) -> None:
    """The drain wants four workers and has what the budget leaves it."""
    jobs(database, 20 * RATE)
    made(database)
    saved(database, [event(n % 7, n) for n in range(8 * RATE)])
    place, out = budget(batchops, tmp_path, "--workers", "3"), tmp_path / "out"
    env = {"BATCHOPS_URL": database.url}
    drain = batchops.start(
        "drain", "jobs", *DRAIN, "--set", "n = n + 1", "--workers", "4", "--budget", place, "-q", env=env
    )
    until(lambda: [run["share"]["workers"] for run in shown(batchops, place)["runs"]] == [3], drain)
    relay = batchops.start("relay", "outbox", "--to", f"file:{out}", "--budget", place, "--json", env=env)
    until(lambda: shares(batchops, place) == [RATE / 2] * 2, relay)
    assert [run["share"]["workers"] for run in shown(batchops, place)["runs"]] == [2, 1]
    until(lambda: delivered(out), relay)
    drain.kill()
    drain.wait()
    until(lambda: shares(batchops, place) == [RATE], relay)
    assert batchops("budget", "set", place, "--rate", "1000000/s").code == 0
    end = ended(relay)
    assert (end.code, json.loads(end.out)["rows"], len(delivered(out))) == (0, 8 * RATE, 8 * RATE), end
    assert json.loads(end.out)["throttled_by"][0]["throttle"] == "budget"
    assert 0 < states(database).get("pending", 0) < 20 * RATE
