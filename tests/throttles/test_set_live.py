"""Throttles that are set while a run works: added, changed, ended; what cannot be had is refused, or said."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import filled
from tests.command import Batchops
from tests.outbox.boxes import delivered, event, made, saved
from tests.services.database import Database
from tests.throttles.run import ThrottledRun
from tests.waiting import ended, until

SLOW = ("--batch-size", 2, "--sleep", "500ms", "--lease", "1s")
NEVER = "10000"
"""A load that no host has."""


@pytest.mark.full
@pytest.mark.in_turn
def test_it_is_added_changed_and_ended(database: Database, batchops: Batchops, tmp_path: Path) -> None:
    filled(database)
    run = ThrottledRun(batchops, tmp_path, "purge", "ev", "--where", "kind = 1", "-y", "--url", database.url, *SLOW)
    run.until(lambda: run.events("committed"))
    batchops.ask(database, "set", 1, "--throttle", "load=0")
    run.until(run.reasons)
    why = run.reasons()[0]
    assert (why["throttle"], why["limit"]) == ("load", 0.0)
    done = len(run.events("committed"))
    run.until(lambda: len(run.reasons()) > 2)
    assert len(run.events("committed")) == done
    batchops.ask(database, "set", 1, "--throttle", f"load={NEVER}")
    run.until(lambda: len(run.events("committed")) > done)
    batchops.ask(database, "set", 1, "--throttle", "load=0")
    run.until(lambda: run.events("throttled")[-1]["reasons"])
    batchops.ask(database, "set", 1, "--throttle", "load=off", "--sleep", "0s", "--batch-size", 100)
    assert run.end()["rows"] == 100
    shown = batchops.ask(database, "show", 1)
    assert [one["settings"] for one in shown["requests"]][:2] == [
        {"throttle": {"load": "0"}}, {"throttle": {"load": NEVER}}
    ]  # fmt: skip
    assert {"throttled", "started", "ended"} < {one["event"] for one in shown["events"]}


@pytest.mark.full
@pytest.mark.in_turn
def test_a_later_process_keeps_to_it_and_to_each_by_its_name(database: Database, batchops: Batchops) -> None:
    filled(database)
    env = {"BATCHOPS_URL": database.url}
    words = ("purge", "ev", "--where", "kind = 1", "-y", "--json")
    assert batchops(*words, "--max-rows", 10, env=env).json()["reason"] == "max-rows"
    batchops.ask(database, "set", "--job", 1, "--throttle", "load=0")
    batchops.ask(database, "set", "--job", 1, "--throttle", "http=off", "--sleep", "1ms")  # type: ignore[arg-type]
    held = batchops(*words, "--throttle", f"load={NEVER}", "--throttle-timeout", "1s", env=env)
    assert (held.code, held.json()["throttled_by"][0]["throttle"]) == (75, "load"), held
    assert "--throttle load=0, at" in held.err
    batchops.ask(database, "set", "--job", 1, "--throttle", "load=off")  # type: ignore[arg-type]
    assert batchops(*words, "--throttle", "load=0", env=env).json()["reason"] == "done"


@pytest.mark.in_turn
def test_what_cannot_be_set_is_refused_in_the_command(database: Database, batchops: Batchops) -> None:
    filled(database)
    env = {"BATCHOPS_URL": database.url}
    batchops("purge", "ev", "--where", "kind = 1", "-yq", env=env)
    other = "history-list" if database.backend == "postgresql" else "xmin-age"
    for limit, code, said in (
        ("lod=4", 2, 'did you mean "load"?'),
        ("load", 2, '"load" needs a limit'),
        ("replica-lag=5", 2, "has no unit"),
        ("wal-rate=5", 2, "has no unit"),
        ("load=4,stop=2", 2, "must be more than the limit"),
        ("file=/tmp/hold", 2, "has a flag of its own"),
        (f"{other}=100", 12, "this database has no such signal"),
    ):
        answer = batchops("set", "--job", 1, "--throttle", limit, env=env)
        assert (answer.code, said in answer.err) == (code, True), answer
    assert batchops("set", "--job", 1, "--throttle", "load=1", "--throttle", "load=2", env=env).code == 2
    assert database.scalar("SELECT count(*) FROM batchops_request") == 0
    assert batchops("set", "--job", 1, "--throttle", f"{other}=off", env=env).code == 0


def test_one_that_the_run_may_not_read_is_said_and_shown(postgresql: Database, batchops: Batchops) -> None:
    """A ledger elsewhere does not know what the database of the run has."""
    filled(postgresql)
    env = {"BATCHOPS_URL": postgresql.url}
    ledger = ("--ledger", batchops.home / "ledger.db")
    words = ("purge", "ev", "--where", "kind = 1", "-y", *ledger)
    batchops(*words, "--max-rows", 10, env=env)
    assert batchops("set", "--job", 1, "--throttle", "wal-size=1MB", *ledger, env=env).code == 0
    ran = batchops(*words, env=env)
    said = "What was set is not in effect. --throttle wal-size cannot be read: this database has no such signal."
    assert (ran.code, said in ran.err) == (0, True), ran
    assert said in batchops("show", "ev", *ledger, env=env).out


@pytest.mark.full
@pytest.mark.in_turn
def test_a_relay_takes_it_up(database: Database, batchops: Batchops, tmp_path: Path) -> None:
    made(database)
    saved(database, [event(n % 7, n) for n in range(100)])
    out = tmp_path / "out"
    process = batchops.start(
        "relay", "outbox", "--url", database.url, "--to", f"file:{out}", "--batch-size", "5", "--sleep", "300ms",
        "--json",
    )  # fmt: skip
    until(lambda: delivered(out), process)
    batchops.ask(database, "set", 1, "--throttle", "load=0")
    until(lambda: "load: " in (batchops.ask(database, "show", 1)["waiting"] or ""), process)
    batchops.ask(database, "set", 1, "--throttle", "load=off", "--sleep", "1ms", "--batch-size", 50)
    end = ended(process)
    assert (end.code, json.loads(end.out)["rows"], len(delivered(out))) == (0, 100, 100), end
