"""Relays and replays as the ledger shows them, and as they are paused, resumed and stopped from outside."""

import json
from pathlib import Path

import pytest

from tests.command import Batchops
from tests.outbox.boxes import delivered, event, made, saved
from tests.services.database import Database
from tests.waiting import ended, until

pytestmark = pytest.mark.in_turn


@pytest.mark.full
def test_a_relay_has_a_row_and_obeys(batchops: Batchops, database: Database, tmp_path: Path) -> None:
    made(database)
    saved(database, [event(n % 7, n) for n in range(20)])
    out = tmp_path / "out"
    words = ("relay", "outbox", "--url", database.url, "--to", f"file:{out}", "--poll", "100ms", "--json")
    process = batchops.start(*words)
    until(lambda: len(delivered(out)) == 20, process)
    (shown,) = batchops.ask(database, "runs", "outbox")["runs"]
    assert (shown["verb"], shown["state"], shown["owner"]["pid"]) == ("relay", "running", process.pid)
    batchops.ask(database, "pause", 1, "broker upgrade")
    until(lambda: "broker upgrade" in (batchops.ask(database, "show", 1)["waiting"] or ""), process)
    saved(database, [event(n % 7, n) for n in range(20, 30)])
    no_workers = batchops("set", 1, "--workers", 2, "--url", database.url)
    assert (no_workers.code, "has no --workers" in no_workers.err) == (2, True), no_workers
    batchops.ask(database, "set", 1, "--batch-size", 5, "--sleep", "10ms")
    assert len(delivered(out)) == 20
    batchops.ask(database, "resume", 1)
    until(lambda: len(delivered(out)) == 30, process)
    batchops.ask(database, "stop", 1)
    end = ended(process)
    assert (end.code, json.loads(end.out)["reason"], json.loads(end.out)["run"]) == (0, "stopped", 1), end
    assert (batchops.ask(database, "show", 1)["state"], batchops.ask(database, "show", 1)["rows"]) == ("stopped", 30)


@pytest.mark.full
def test_a_replay_has_a_row_and_waits_while_every_run_is_paused(
    batchops: Batchops, database: Database, tmp_path: Path
) -> None:
    made(database)
    saved(database, [event(n % 7, n) for n in range(20)])
    out, again = tmp_path / "out", tmp_path / "again"
    assert batchops("relay", "outbox", "--url", database.url, "--to", f"file:{out}").code == 0
    batchops.ask(database, "pause", "--database")
    words = ("outbox", "replay", "outbox", "--url", database.url, "--to", f"file:{again}", "--all-events")
    process = batchops.start(*words)
    until(lambda: batchops.ask(database, "runs")["runs"][0]["verb"] == "replay", process)
    assert [one["state"] for one in batchops.ask(database, "runs")["runs"]] == ["paused", "done"]
    assert delivered(again) == []
    batchops.ask(database, "resume", "--database")
    assert (ended(process).code, len(delivered(again))) == (0, 20)
