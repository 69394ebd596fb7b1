"""runs, show, ledger: what was done, as people and programs read it."""

from pathlib import Path

import pytest

from tests.cli.conftest import Cli
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
    assert lines[0].split() == ["RUN", "VERB", "TABLE", "STATE", "ROWS", "BATCHES", "STARTED", "WHERE"]
    assert [line.split()[0] for line in lines[1:]] == ["2", "1"]
    shown = cli("show", 2, env=env)
    assert "2: backfill ev" in shown.out
    assert "max-rows" in shown.out
    assert cli("show", 2, "--json", env=env).json() == runs[0] | {"rejections": []}
    assert [r["run"] for r in cli("runs", "--limit", 1, "--json", env=env).json()["runs"]] == [2]
    assert cli("runs", "--table", "nope", "--json", env=env).json() == {"runs": []}
    missing = cli("show", 9, env=env)
    assert (missing.code, missing.out) == (2, "")
    assert "batchops runs" in missing.err


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
