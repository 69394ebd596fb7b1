"""Schedulers as the ledger shows them, and as they are paused, resumed and stopped from outside."""

from pathlib import Path
from typing import Any

import pytest

from tests.command import Batchops
from tests.services.database import Database
from tests.waiting import ended, until

RECIPE = '[job.sweep]\nverb = "purge"\ntable = "t"\nwhere = "id > 0"\nevery = "1s"\nmissed = "skip"\n'


@pytest.mark.full
@pytest.mark.in_turn
def test_a_scheduler_has_a_row_and_obeys(batchops: Batchops, database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE t (id integer PRIMARY KEY)")
    recipe = tmp_path / "sweep.toml"
    recipe.write_text(RECIPE)
    process = batchops.start("schedule", recipe, env={"BATCHOPS_URL": database.url})

    def row() -> Any:
        runs = batchops.ask(database, "runs", "--limit", 1000)["runs"]
        return next((run for run in runs if run["verb"] == "schedule"), None)

    until(lambda: row() is not None and row()["batches"] > 0, process)
    number = row()["run"]
    assert (row()["table"], row()["state"], row()["owner"]["pid"]) == ("sweep", "running", process.pid)
    refused = batchops("set", number, "--sleep", "1s", "--url", database.url)
    assert (refused.code, "is a scheduler" in refused.err) == (2, True), refused
    batchops.ask(database, "pause", number, "freeze")
    until(lambda: "freeze" in (row()["waiting"] or ""), process)
    fires = database.scalar("SELECT count(*) FROM batchops_fire")
    before = row()["heartbeat"]
    until(lambda: row()["heartbeat"] > before, process)
    assert database.scalar("SELECT count(*) FROM batchops_fire") == fires
    batchops.ask(database, "resume", number)
    until(lambda: database.scalar("SELECT count(*) FROM batchops_fire") > fires, process)
    batchops.ask(database, "stop", number)
    end = ended(process)
    assert (end.code, "stopped by a request" in end.err) == (0, True), end
    assert (row()["state"], row()["rows"]) == ("stopped", 0)
