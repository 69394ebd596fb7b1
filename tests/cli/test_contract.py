"""Reasons, exit codes, streams and the document: what scripts rely on."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from batchops.reporters.document import FIELDS
from tests.cli.conftest import ROWS, Cli, everything
from tests.command import Batchops
from tests.services.database import Database
from tests.waiting import ended, until

pytestmark = pytest.mark.in_turn

SLOW = ("--batch-size", 20, "--sleep", "400ms")


@pytest.fixture
def at(lite: Database) -> dict[str, str]:
    return {"BATCHOPS_URL": lite.url}


def test_the_fields_of_the_document(ev: Database, cli: Cli) -> None:
    result = cli("purge", "ev", "--where", "kind = 3", "-y", "--json", env={"BATCHOPS_URL": ev.url})
    document = result.json()
    assert list(document) == list(FIELDS)
    assert ",".join(FIELDS) == (
        "version,run,verb,table,strategy,reason,exit,rows,read,batches,retries,rejected,locked,seconds,throttled_seconds,"
        "cutoff,left,next,error"
    )
    assert result.out.count("\n") == 1
    assert document | {"version": "", "read": 0, "batches": 0, "seconds": 0, "strategy": ""} == {
        "version": "", "run": 1, "verb": "purge", "table": "ev", "strategy": "", "reason": "done", "exit": 0,
        "rows": 100, "read": 0, "batches": 0, "retries": 0, "rejected": 0, "locked": 0, "seconds": 0,
        "throttled_seconds": 0.0, "cutoff": None, "left": None, "next": None, "error": None,
    }  # fmt: skip
    assert document["read"] >= 100
    assert 0 < document["seconds"] < 60
    assert ev.scalar("SELECT count(*) FROM ev") == 900


@pytest.mark.wide(2)
@pytest.mark.parametrize(
    ("more", "reason", "rows", "code"),
    [
        (("--max-rows", 30), "max-rows", 30, 5),
        (("--max-batches", 2, "--batch-size", 20), "max-batches", 40, 5),
        (("--max-time", "1ms", "--batch-size", 5), "max-time", None, 5),
        (("--window", "{closed}", "--time-zone", "UTC"), "window", 0, 5),
        ((), "done", ROWS, 0),
    ],
)
def test_ended_as_asked(
    lite: Database, cli: Cli, at: dict[str, str], more: tuple[Any, ...], reason: str, rows: int | None, code: int
) -> None:
    hour = time.gmtime().tm_hour
    closed = f"{(hour + 6) % 24:02}:00-{(hour + 7) % 24:02}:00"
    words = [str(word).format(closed=closed) for word in more]
    first = cli("purge", "ev", "--all-rows", "-y", "--json", *words, "--exit-code", env=at)
    document = first.json()
    assert (first.code, document["reason"], document["exit"]) == (code, reason, code), first
    if rows is not None:
        assert document["rows"] == rows
    assert lite.scalar("SELECT count(*) FROM ev") == ROWS - document["rows"]
    assert (document["next"] is None) == (reason == "done")
    plain = cli("purge", "ev", "--all-rows", "-y", *words, env=at)
    assert plain.code == 0


def test_a_closed_window_is_told_even_quietly(cli: Cli, at: dict[str, str]) -> None:
    hour = time.gmtime().tm_hour
    closed = f"{(hour + 6) % 24:02}:00-{(hour + 7) % 24:02}:00"
    words = ("purge", "ev", "--all-rows", "-y", "--window", closed, "--time-zone", "UTC")
    quiet = cli(*words, "-q", env=at)
    assert quiet.out.startswith("purge ev: not started, as --window is closed now; to continue: "), quiet
    assert f"opens at {time.strftime('%Y', time.gmtime())}" in cli(*words, env=at).err


def test_nothing_to_do(cli: Cli, at: dict[str, str]) -> None:
    nothing = ("purge", "ev", "--where", "kind = 77", "-y")
    assert cli(*nothing, env=at).code == 0
    assert cli(*nothing, "--exit-code", env=at).code == 4
    assert "nothing to do" in cli(*nothing, env=at).out


def test_the_command_that_goes_on_goes_on(lite: Database, cli: Cli) -> None:
    import shlex

    where = "note IS NULL AND kind <> '7 of \"9\"'"
    first = cli("purge", "ev", "--where", where, "--max-rows", 300, "-y", "--json", "--url", lite.url).json()
    words = shlex.split(first["next"])[1:]
    second = cli(*words, "-y", "--json").json()
    assert (second["reason"], second["rows"]) == ("max-rows", 300)
    assert lite.scalar("SELECT count(*) FROM ev") == ROWS - 600


def test_without_a_terminal_one_line_is_all(cli: Cli, at: dict[str, str]) -> None:
    result = cli("purge", "ev", "--where", "kind = 1", "-y", env=at)
    assert (result.code, result.own_err) == (0, "")
    assert result.out.startswith("purge ev: done: 100 rows deleted in ")
    assert result.out.count("\n") == 1


def test_quiet_says_nothing_when_it_is_well_and_one_line_when_not(lite: Database, cli: Cli, at: dict[str, str]) -> None:
    for more in ((), ("--max-rows", "1"), ("--ledger", "none")):
        result = cli("purge", "ev", "--where", "kind = 1", "-yq", *more, env=at)
        assert (result.code, result.out, result.err) == (0, "", ""), more
    bad = cli("purge", "evs", "--where", "kind = 1", "-yq", env=at)
    assert bad.code == 10
    assert bad.err.startswith('error: There is no table "evs"')
    lite.execute("CREATE TABLE child (p bigint REFERENCES ev (id))")
    lite.execute("CREATE TRIGGER no BEFORE DELETE ON ev WHEN OLD.id = 7 BEGIN SELECT RAISE(ABORT, 'not 7'); END")
    some = cli("purge", "ev", "--all-rows", "-yq", "--allow", "triggers", "--allow", "fk-index", env=at)
    assert (some.code, some.err.count("\n")) == (3, 0), some
    assert "1 row rejected" in some.out


def test_progress_lines_for_a_log(cli: Cli, at: dict[str, str]) -> None:
    result = cli("purge", "ev", "--all-rows", "-y", *SLOW, "--max-batches", 9, "--progress-every", "100ms", env=at)
    lines = [line for line in result.err.splitlines() if line.startswith("purge ev: after ")]
    assert len(lines) >= 2, result
    assert "rows" in lines[0]
    assert result.out.count("\n") == 1


def test_events_are_lines_of_json(cli: Cli, at: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "events"
    result = cli("purge", "ev", "--all-rows", "-y", *SLOW, "--max-batches", 3, "--events", file, env=at)
    assert result.code == 0
    events = [json.loads(line) for line in file.read_text().splitlines()]
    assert [e["event"] for e in events if e["event"] != "throttled"] == ["started", *["committed"] * 3, "finished"]
    assert sum(e["rows"] for e in events if e["event"] == "committed") == events[-1]["rows"] == 60
    assert {"event", "at", *FIELDS} == events[-1].keys()
    assert all(e["at"].endswith("Z") for e in events)
    assert file.stat().st_mode & 0o077 == 0


def test_no_terminal_to_ask_at(lite: Database, cli: Cli, at: dict[str, str]) -> None:
    before = everything(lite)
    result = cli("purge", "ev", "--all-rows", env=at)
    assert (result.code, result.out) == (2, "")
    assert "-y" in result.err
    assert everything(lite) == before


def test_a_second_copy_is_told_who_is_at_work(batchops: Batchops, cli: Cli, at: dict[str, str]) -> None:
    words = ("purge", "ev", "--all-rows", "-y")
    first = batchops.start(*words, *SLOW, env=at)
    runs = until(lambda: cli("runs", "--json", env=at).json()["runs"], first)
    second = cli(*words, "--json", env=at).json()
    assert (second["exit"], second["reason"], runs[0]["state"]) == (11, "locked", "running")
    assert runs[0]["owner"]["pid"] == first.pid
    first.kill()
    first.wait()
    assert cli("runs", "--json", env=at).json()["runs"][0]["state"] == "crashed"
    shown = cli("show", 1, env=at)
    assert "crashed" in shown.out
    assert "continue  batchops purge ev --all-rows" in shown.out
    again = cli(*words, "--json", env=at).json()
    assert (again["run"], again["rows"], again["reason"]) == (1, ROWS, "done")


@pytest.mark.parametrize(
    "number", [signal.SIGINT, *(pytest.param(n, marks=pytest.mark.full) for n in (signal.SIGTERM, signal.SIGHUP))]
)
def test_a_signal_ends_it_after_the_batch(
    lite: Database, batchops: Batchops, at: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    events = tmp_path / "events"
    job = batchops.start("purge", "ev", "--all-rows", "-y", "--json", *SLOW, "--events", events, env=at)
    until(lambda: events.exists() and "committed" in events.read_text(), job)
    job.send_signal(number)
    code, out, err = ended(job)
    document = json.loads(out)
    assert code == document["exit"] == 128 + number, err
    assert document["reason"] == "signal"
    assert document["next"].startswith("batchops purge ev --all-rows ")
    assert lite.scalar("SELECT count(*) FROM ev") == ROWS - document["rows"]


def test_backfill_says_that_it_is_done_already(ev: Database, cli: Cli) -> None:
    env = {"BATCHOPS_URL": ev.url}
    words = ("backfill", "ev", "--all-rows", "--set", "kind = kind + 1", "-y")
    assert cli(*words, "--json", env=env).json()["rows"] == ROWS
    again = cli(*words, "--json", env=env).json()
    assert (again["reason"], again["exit"], again["rows"], again["run"]) == ("already-done", 0, 0, 1)
    assert ev.scalar("SELECT sum(kind) FROM ev") == 5500
    assert cli(*words, "--restart", "--json", env=env).json()["rows"] == ROWS
    assert ev.scalar("SELECT sum(kind) FROM ev") == 6500


def test_a_reader_that_goes_away_costs_nothing(lite: Database, batchops: Batchops, at: dict[str, str]) -> None:
    job = batchops.start("purge", "ev", "--all-rows", "-y", "--json", env=at)
    assert job.stdout is not None
    job.stdout.close()
    assert job.stderr is not None
    assert "Traceback" not in job.stderr.read()
    assert job.wait() == 0
    assert lite.scalar("SELECT count(*) FROM ev") == 0
