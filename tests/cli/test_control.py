"""pause, resume, stop, cancel: which runs are meant, what is answered, what is refused."""

import json
import os
import sqlite3
from pathlib import Path

import pexpect
import pytest

from batchops.ledger.owner import this_process
from tests.cli.conftest import Cli
from tests.command import Batchops, hear_interrupts
from tests.services.database import Database
from tests.waiting import ended

pytestmark = pytest.mark.in_turn

PURGE = ("purge", "ev", "--where", "kind = 1", "-yq")


def test_what_is_not_there_is_refused(ev: Database, cli: Cli) -> None:
    env = {"BATCHOPS_URL": ev.url}
    for words in (("pause", 7), ("resume", 7), ("stop", 7), ("cancel", "nope"), ("pause", "--job", "nope")):
        answer = cli(*words, env=env)
        assert (answer.code, "There is no run" in answer.err, answer.out) == (2, True, ""), answer
    cli(*PURGE, env=env)
    ended = cli("pause", 1, env=env)
    assert (ended.code, "Run 1 has ended (done)." in ended.err, "--job 1" in ended.err) == (2, True, True), ended
    for action in ("stop", "cancel"):
        over = cli(action, 1, env=env)
        assert (over.code, over.out) == (0, "Run 1 (purge ev) is not running: done.\n"), over
        assert cli(action, "--job", 1, "--json", env=env).json()["runs"][0]["effect"] == "not-running"
    no_job = cli("pause", "--job", "ev", env=env)
    assert (no_job.code, '"ev" is no job of a recipe' in no_job.err) == (2, True), no_job
    assert ev.scalar("SELECT count(*) FROM batchops_request") == 0


def test_a_run_of_another_database_is_not_there(ev: Database, cli: Cli, tmp_path: Path) -> None:
    cli(*PURGE, env={"BATCHOPS_URL": ev.url})
    other = tmp_path / "other.db"
    sqlite3.connect(other).close()
    for words in (("pause", 1), ("set", "ev", "--sleep", "1s"), ("cancel", "--job", 1)):
        for place in (("--url", f"sqlite:///{other}"), ("--url", ev.url, "--ledger", other)):
            answer = cli(*words, *place)
            assert (answer.code, "There is no run" in answer.err) == (2, True), answer
    assert ev.scalar("SELECT count(*) FROM batchops_request") == 0


def test_what_is_meant_must_be_clear(ev: Database, cli: Cli) -> None:
    env = {"BATCHOPS_URL": ev.url}
    for words, said in (
        ((), "No run is named."),
        (("--all", "--database"), "--all and --database exclude each other."),
        (("1", "month-end", "closing"), '"closing" is one argument too many.'),
        (("--ledger", "none", "1"), "--ledger none keeps no runs"),
    ):
        answer = cli("pause", *words, env=env)
        assert (answer.code, said in answer.err) == (2, True), answer


def test_a_pause_of_every_run_before_there_is_a_ledger(ev: Database, cli: Cli) -> None:
    env = {"BATCHOPS_URL": ev.url}
    paused = cli("pause", "--database", "überfällig 🛑", env=env)
    assert (paused.code, paused.out) == (0, "Every run with this ledger is paused, and so are later runs.\n"), paused
    again = cli("pause", "--database", "--json", env=env).json()
    assert [(one["run"], one["effect"], one["scope"]) for one in again["runs"]] == [(None, "asked", "database")]
    assert cli("resume", "--database", env=env).out == "Every run with this ledger is resumed.\n"
    assert cli("resume", "--database", env=env).out == "Every run with this ledger was not paused.\n"
    for action in ("pause", "resume", "stop", "cancel"):
        assert cli(action, "--all", env=env).out == "No run is at work.\n"
    assert cli(*PURGE, env=env).code == 0


def test_a_run_that_stopped_can_be_paused_and_resumed_without_a_process(ev: Database, cli: Cli) -> None:
    env = {"BATCHOPS_URL": ev.url}
    cli(*PURGE, env=env)
    ev.execute("UPDATE batchops_run SET state = 'running', ended_at = NULL")  # as after kill -9
    paused = cli("pause", "ev", env=env)
    assert "No process works on it now; one that continues it starts paused." in paused.out, paused
    (run,) = cli("runs", "--json", env=env).json()["runs"]
    assert (run["state"], [pause["scope"] for pause in run["paused"]]) == ("crashed", ["run"])
    resumed = cli("resume", 1, env=env)
    assert "Run 1 (purge ev) is resumed. No process is waiting, and this starts none." in resumed.out, resumed
    assert "Continue it: batchops purge ev" in resumed.out
    assert cli("runs", "--json", env=env).json()["runs"][0]["paused"] == []


def test_what_cannot_be_set_is_refused(ev: Database, cli: Cli) -> None:
    env = {"BATCHOPS_URL": ev.url}
    cli(*PURGE, env=env)
    ev.execute("UPDATE batchops_run SET state = 'running', ended_at = NULL")  # as after kill -9
    for words, said in (
        ((), "Nothing is to be changed."),
        (("--strategy", "key"), "--strategy cannot be changed while a run works."),
        (("--window=22:00-06:00",), "--window cannot be changed while a run works."),
        (("--batch-size", "0"), "--batch-size"),
        (("--sleep", "5"), "has no unit"),
        (("--workers", "65"), "--workers"),
    ):
        answer = cli("set", 1, *words, env=env)
        assert (answer.code, said in answer.err) == (2, True), answer
    several = cli("set", 1, "--workers", 2, env=env)
    assert several.code == (2 if ev.backend == "sqlite" else 0), several
    for_nobody = cli("set", 1, "--max-rows", 5, env=env)
    assert (for_nobody.code, for_nobody.out) == (0, "Run 1 (purge ev) is not running: crashed.\n"), for_nobody
    later = cli("set", "--job", 1, "--sleep", "200ms", env=env)
    assert later.out == "Job of run 1 (purge ev) is asked to change its settings. No process works on it now.\n"
    assert "set --sleep 200 ms by " in cli("show", 1, env=env).out
    assert "set --sleep 200 ms, at " in cli(*PURGE[:-1], "-y", env=env).err


def test_the_list_is_drawn_again_and_again(lite: Database, batchops: Batchops) -> None:
    env = batchops.environment({"TERM": "xterm-256color", "BATCHOPS_URL": lite.url})
    argv = batchops.argv("runs", "--watch")
    child = pexpect.spawn(
        argv[0], argv[1:], env=env, dimensions=(50, 200), encoding="utf-8", timeout=60, preexec_fn=hear_interrupts
    )
    child.expect_exact("HEARTBEAT")
    batchops(*PURGE, env={"BATCHOPS_URL": lite.url})
    child.expect(r"1\s+purge\s+ev\s+\S*done")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    piped = batchops("runs", "--watch", env={"BATCHOPS_URL": lite.url})
    assert (piped.code, "--watch needs a terminal" in piped.err) == (2, True), piped


def test_what_gives_no_heartbeat_is_told_apart(ev: Database, cli: Cli) -> None:
    """A process that can be asked is: nobody is taken for dead by time alone."""
    env = {"BATCHOPS_URL": ev.url}
    cli(*PURGE, env=env)
    ev.execute("UPDATE batchops_run SET state = 'running', ended_at = NULL")
    ev.execute(
        "INSERT INTO batchops_lease (job, run, token, owner, renewed_at, lease_until) "
        "SELECT job, run, 'x', '', 1, 1 FROM batchops_run"
    )
    owner = json.loads(ev.scalar("SELECT started_by FROM batchops_run"))
    states = []
    for boot, pid in ((owner["boot"], os.getpid()), (owner["boot"], 0), ("another host", 1)):
        mine = {name: owner[name] for name in ("user", "host", "namespace")} | {"boot": boot, "pid": pid}
        mine["started"] = this_process().started if pid == os.getpid() else "1"
        ev.execute("UPDATE batchops_lease SET owner = :owner", owner=json.dumps(mine))
        states.append(cli("runs", "--json", env=env).json()["runs"][0]["state"])
    assert states == ["stale", "crashed", "stale"]


@pytest.mark.full
def test_two_people_at_once_and_the_later_one_counts(ev: Database, cli: Cli, batchops: Batchops) -> None:
    env = {"BATCHOPS_URL": ev.url}
    cli(*PURGE, env=env)
    ev.execute("UPDATE batchops_run SET state = 'running', ended_at = NULL")
    both = [batchops.start("set", "1", "--batch-size", size, env=env) for size in ("7", "9")]
    assert [ended(process).code for process in both] == [0, 0]
    asked = cli("show", 1, "--json", env=env).json()["requests"]
    assert sorted(one["settings"]["batch_size"] for one in asked) == [7, 9]
    again = cli(*PURGE[:-1], "-y", env=env)
    assert again.err.count(" set --batch-size ") == 2, again
