"""Throttles on the command line: in the plan, while a run waits, at its end, and in a recipe."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.services.database import Database

PURGE = ("purge", "ev", "--where", "kind = 1", "-y")


@pytest.mark.parametrize("verb", [("purge",), ("backfill", "--set", "note = 'x'")])
def test_a_run_that_throttles_never_let_go_ends_busy(
    lite: Database, cli: Cli, tmp_path: Path, verb: tuple[str, ...]
) -> None:
    """The load of a host that runs these tests is above nothing at all."""
    events = tmp_path / "events"
    command, *more = verb
    throttled = ("--throttle", "load=0", "--throttle-timeout", "1s", "--events", events)
    ran = cli(command, "ev", "--where", "kind = 1", *more, "--url", lite.url, "-y", "--json", *throttled)
    end = ran.json()
    assert (ran.code, end["reason"], end["rows"]) == (75, "busy", 0)
    assert "load: " in end["error"]["message"]
    assert "(limit 0)" in end["error"]["message"]
    (by,) = end["throttled_by"]
    assert (by["throttle"], by["limit"]) == ("load", 0.0)
    assert by["value"] > 0
    waits = [one for one in map(json.loads, events.read_text().splitlines()) if one["event"] == "throttled"]
    reason = [one["reasons"][0] for one in waits][-1]
    assert reason["reason"] == waits[-1]["reason"]
    assert (reason["throttle"], reason["limit"]) == ("load", 0.0)
    assert "--throttle load=0 --throttle-timeout 1s" in end["next"]


def test_the_limit_of_stop_ends_it_at_once(lite: Database, cli: Cli) -> None:
    ran = cli(*PURGE, "--url", lite.url, "--throttle", "load=0,stop=0.000001", "--json")
    assert ran.code == 75
    assert "more than stop=" in ran.json()["error"]["message"]


def test_waiting_counts_for_max_time(lite: Database, cli: Cli) -> None:
    ran = cli(*PURGE, "--url", lite.url, "--throttle", "load=0", "--max-time", "1s", "--json")
    assert (ran.code, ran.json()["reason"], ran.json()["rows"]) == (0, "max-time", 0)


def test_the_plan_shows_it_and_a_high_limit_lets_it_go_on(lite: Database, cli: Cli) -> None:
    calm = ("--url", lite.url, "--throttle", "load=100000")
    plan = cli(*PURGE, *calm, "--dry-run", "--json").json()["plan"]
    one = next(each for each in plan["throttles"] if each["throttle"] == "load")
    assert (one["limit"], one["stop"], one["on"], one["unit"]) == (100000.0, None, True, "number")
    assert one["value"] > 0
    text = cli(*PURGE, *calm, "--dry-run").out
    assert "\n  throttles load: " in text
    assert "(limit 100,000)" in text
    assert cli(*PURGE, *calm, "--json").json()["rows"] == 100


def test_a_recipe_has_it_as_a_key(lite: Database, cli: Cli, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        f'[job.old]\nverb = "purge"\ntable = "ev"\nwhere = "kind = 1"\nurl = "{lite.url}"\n'
        'throttle = ["load=0"]\nthrottle-timeout = "1s"\n'
    )
    assert cli("recipe", "check", recipe).code == 0
    (job,) = cli("run", recipe, "-y", "--json").json()["jobs"]
    assert (job["reason"], job["throttled_by"][0]["throttle"]) == ("busy", "load")
    recipe.write_text(recipe.read_text().replace("load=0", "lod=0"))
    wrong = cli("recipe", "check", recipe)
    assert (wrong.code, 'did you mean "load"?' in wrong.out + wrong.err) == (2, True)
