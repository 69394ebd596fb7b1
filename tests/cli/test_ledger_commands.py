"""runs, show, ledger: what was done, as people and programs read it."""

import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import ROWS, Cli
from tests.command import Batchops
from tests.services.database import Database

pytestmark = pytest.mark.in_turn


def test_runs_and_show(ev: Database, cli: Cli) -> None:
    env = {"BATCHOPS_URL": ev.url}
    assert cli("runs", env=env).out == "No runs.\n"
    assert cli("runs", "--json", env=env).json() == {"runs": []}
    cli("purge", "ev", "--where", "kind = 1", "-yq", env=env)
    cli("backfill", "ev", "--where", "kind = 2", "--set", "note = 'x'", "--max-rows", 5, "-yq", env=env)
    runs = cli("runs", "--json", env=env).json()["runs"]
    assert [(r["run"], r["verb"], r["table"], r["state"], r["rows"]) for r in runs] == [
        (2, "backfill", "ev", "max-rows", 5), (1, "purge", "ev", "done", 100),
    ]  # fmt: skip
    assert (runs[0]["set"], runs[0]["where"], runs[0]["error"]) == (["note = 'x'"], "kind = 2", None)
    lines = cli("runs", env=env).out.splitlines()
    assert lines[0].split() == ["RUN", "VERB", "TABLE", "STATE", "PROGRESS", "ROWS", "BATCHES", "STARTED", "WHERE"]
    assert [line.split()[0] for line in lines[1:3]] == ["2", "1"]
    assert lines[3:] == [f"Continue run 2: {runs[0]['next']}"]
    shown = cli("show", 2, env=env)
    assert "2: backfill ev" in shown.out
    assert "max-rows" in shown.out
    document = cli("show", 2, "--json", env=env).json()
    assert document == runs[0] | {
        "rejections": [],
        "requests": [],
        "plan": document["plan"],
        "events": document["events"],
    }
    assert [one["event"] for one in document["events"]] == ["started", "ended"]
    assert [r["run"] for r in cli("runs", "--limit", 1, "--json", env=env).json()["runs"]] == [2]
    assert cli("runs", "nope", "--json", env=env).json() == {"runs": []}
    assert cli("runs", "ev", "--json", env=env).json()["runs"] == runs
    missing = cli("show", 9, env=env)
    assert (missing.code, missing.out) == (2, "")
    assert "batchops runs" in missing.err
    missing = cli("show", "nope", env=env)
    assert (missing.code, 'no run of a table or job "nope"' in missing.err) == (2, True)


def test_a_run_by_its_table_or_job_with_its_share_and_the_command_that_continues_it(ev: Database, cli: Cli) -> None:
    env = {"BATCHOPS_URL": ev.url}
    words = ("purge", "ev", "--all-rows", "--strategy", "key", "--batch-size", "50", "--count", "-yq")
    cli(*words, "--max-rows", 100, env=env)
    shown = cli("show", "ev", "--json", env=env).json()
    assert (shown["state"], shown["job"]) == ("max-rows", None)
    assert shown["share"] == pytest.approx(100 / ROWS, rel=0.05)  # of the table's rows by the server's estimate
    assert shown["position"].startswith("behind id ")
    assert (
        f"progress  {int(100 * shown['share'])} % · {shown['position']}" in cli("show", "ev", env=env).out.splitlines()
    )
    assert shown["next"].startswith("batchops purge ev --all-rows "), shown
    again = cli(*shlex.split(shown["next"])[1:], "-yq", env=env)
    assert again.code == 0, again
    older, newest = reversed(cli("runs", "ev", "--json", env=env).json()["runs"])
    assert (older["next"], newest["next"] is None) == (None, newest["state"] == "done")


def test_a_run_by_the_job_of_its_recipe(lite: Database, cli: Cli, tmp_path: Path) -> None:
    env = {"BATCHOPS_URL": lite.url}
    recipe = tmp_path / "nightly.toml"
    recipe.write_text('[job.old]\nverb = "purge"\ntable = "ev"\nwhere = "kind = 1"\nmax-rows = 5\n'
                      '[job.older]\nverb = "purge"\ntable = "ev"\nwhere = "kind = 2"\n')  # fmt: skip
    assert cli("run", recipe, "-yq", env=env).code == 0
    shown = cli("show", "old", "--json", env=env).json()
    assert (shown["job"], shown["where"], shown["next"]) == ("old", "kind = 1", f"batchops run {recipe} old")
    assert "ev (older)" in cli("runs", "older", env=env).out
    assert [run["run"] for run in cli("runs", "ev", "--json", env=env).json()["runs"]] == [2, 1]


def test_init_prints_or_makes(database: Database, cli: Cli) -> None:
    env = {"BATCHOPS_URL": database.url}
    printed = cli("ledger", "init", env=env)
    assert (printed.code, printed.err) == (0, "")
    for statement in printed.out.split(";\n")[:-1]:
        database.execute(statement)
    made = cli("ledger", "init", "--apply", env=env)
    assert (made.code, made.out.count("\n")) == (0, 1), made
    assert database.scalar("SELECT count(*) FROM batchops_run") == 0


def test_prune_forgets_what_ended_long_ago(lite: Database, cli: Cli) -> None:
    env = {"BATCHOPS_URL": lite.url}
    assert cli("ledger", "prune", env=env).out == "Forgot 0 runs.\n"
    for kind in (1, 2):
        cli("purge", "ev", "--where", f"kind = {kind}", "-yq", env=env)
    lite.execute("UPDATE batchops_run SET ended_at = ended_at - 86400 * 10 WHERE run = 1")
    assert cli("ledger", "prune", env=env).out == "Forgot 0 runs.\n"
    assert cli("ledger", "prune", "--older-than", "9d", env=env).out == "Forgot 1 run.\n"
    assert lite.column("SELECT run FROM batchops_worker") == [2]
    bad = cli("ledger", "prune", "--older-than", "long", env=env)
    assert (bad.code, bad.err.splitlines()[0]) == (2, bad.err.splitlines()[0])


def test_the_demo(batchops: Batchops, tmp_path: Path) -> None:
    file = tmp_path / "demo.db"
    result = batchops("demo", "--file", file, "--rows", 20_000)
    assert result.code == 0, result
    assert "purge events: done: 10,000 rows deleted in " in result.out
    assert "purge events\n  database  sqlite:///" in result.err
    assert "With a database of your own" in result.out
