"""Programs that a drain starts: what they leave behind, what they answer, and what a stop makes of their rows."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.command import Batchops
from tests.queue.handlers.test_child_process import gone
from tests.queue.jobs import DRAIN, drain, jobs, leased, states
from tests.services.database import Database
from tests.waiting import until

pytestmark = pytest.mark.in_turn

STAYING = ("--poll", "100ms", "-q")


@pytest.fixture
def queue(sqlite: Database) -> Database:
    """Five pending jobs in a file: what happens to processes is the same on every database."""
    jobs(sqlite, 5)
    leased(sqlite)
    return sqlite


def script(folder: Path, text: str) -> str:
    """A shell script; `$1` in it is the file to write to."""
    path = folder / "script.sh"
    path.write_text(text)
    return f"sh {path} {folder / 'said'}"


def said(folder: Path) -> list[str]:
    """The words that the script has written so far."""
    path = folder / "said"
    return path.read_text().split() if path.exists() else []


def start(batchops: Batchops, database: Database, *args: str) -> "subprocess.Popen[str]":
    return batchops.start("drain", "jobs", "--url", database.url, *DRAIN, *args)


def leases(database: Database) -> list[tuple[object, ...]]:
    return database.rows("SELECT DISTINCT status, lease IS NULL, attempts FROM jobs ORDER BY status")


def test_a_helper_left_in_the_background_fails_no_row(queue: Database, tmp_path: Path) -> None:
    work = script(tmp_path, "sleep 600 & echo $! >> $1; echo more words; exit 0")
    document = drain(queue, "--exec", work).json()
    helpers = [int(pid) for pid in said(tmp_path)]
    try:
        assert (document["rows"], document["seconds"] < 60) == (5, True)
        assert [gone(pid) for pid in helpers] == [False] * 5
    finally:
        for pid in helpers:
            os.kill(pid, signal.SIGKILL)


@pytest.mark.wide(1)
@pytest.mark.parametrize(
    ("work", "reason"),
    [("sleep 600 & echo $! >> $1; wait", "did not end within 0.2 s"), ("sleep 600 & echo $! >> $1; exit 3", "exit 3")],
    ids=["past its deadline", "failed"],
)
def test_nothing_of_a_failed_attempt_goes_on(queue: Database, tmp_path: Path, work: str, reason: str) -> None:
    drain(queue, "--exec", script(tmp_path, work), "--deadline", "400ms", "--batch-size", "1", "--max-batches", "2")
    assert said(tmp_path)
    until(lambda: all(gone(int(pid)) for pid in said(tmp_path)))
    assert reason in queue.scalar("SELECT min(failure) FROM jobs")


@pytest.mark.wide(1)
@pytest.mark.parametrize("place", ["columns", "table"])
def test_a_program_cut_by_the_grace_period_costs_no_attempt(
    batchops: Batchops, database: Database, tmp_path: Path, place: str
) -> None:
    """It ignores SIGTERM, and so does what it has started: both are gone before the row is free."""
    jobs(database, 1)
    leased(database, place)
    work = script(tmp_path, "trap '' TERM; (trap '' TERM; echo $$ >> $1; while :; do sleep 0.2; done)")
    process = start(batchops, database, "--exec", work, "--grace", "500ms", *STAYING)
    until(lambda: said(tmp_path), process)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in err) == (143, False), (out, err)
    assert gone(int(said(tmp_path)[0]))
    done = drain(database, "--set", "n = n + 1", "--lease-in", place).json()
    assert (done["rows"], states(database)) == (1, {"done": 1})
    table = "jobs" if place == "columns" else "batchops_row_lease"
    assert database.rows(f"SELECT attempts FROM {table}") in ([(1,)], [])


def test_a_program_that_heeds_sigterm_hands_its_row_back(batchops: Batchops, queue: Database, tmp_path: Path) -> None:
    work = script(tmp_path, "echo up >> $1; exec sleep 600")
    process = start(batchops, queue, "--exec", work, "--grace", "4s", *STAYING)
    until(lambda: said(tmp_path), process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    assert leases(queue) == [("pending", 1, 0)]


def test_the_batch_in_hand_is_finished_within_the_grace_period(
    batchops: Batchops, queue: Database, tmp_path: Path
) -> None:
    """Its lease is renewed meanwhile: nobody else begins the same work."""
    work = script(tmp_path, "echo up >> $1; while [ ! -e $1.go ]; do sleep 0.05; done")
    lease = ("--lease", "1s")
    process = start(batchops, queue, "--exec", work, "--grace", "1h", *lease, *STAYING)
    until(lambda: said(tmp_path), process)
    held = queue.rows("SELECT id, lease, lease_until FROM jobs WHERE lease IS NOT NULL")
    process.send_signal(signal.SIGTERM)
    first = max(float(row[2]) for row in held)
    renewed = "SELECT max(lease_until) FROM jobs"
    until(lambda: float(queue.scalar(renewed) or 0) > first + 1.5, process)
    assert set(queue.column("SELECT lease FROM jobs WHERE lease IS NOT NULL")) == {held[0][1]}
    (tmp_path / "said.go").touch()
    assert process.wait(60) == 0
    assert leases(queue) == [("done", 1, 1), ("pending", 1, 0)]
    assert states(queue) == {"done": len(said(tmp_path)), "pending": 5 - len(said(tmp_path))}


def test_the_second_signal_cuts_at_once(batchops: Batchops, queue: Database, tmp_path: Path) -> None:
    work = script(tmp_path, "trap '' TERM; echo $$ >> $1; while :; do sleep 0.2; done")
    process = start(batchops, queue, "--exec", work, "--grace", "1h", *STAYING)
    until(lambda: said(tmp_path), process)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    assert gone(int(said(tmp_path)[0]))
    assert leases(queue) == [("pending", 1, 0)]


@pytest.mark.full
def test_a_function_cut_by_the_grace_period_keeps_its_lease(
    batchops: Batchops, database: Database, tmp_path: Path
) -> None:
    """It may still be at work, wherever that is: nobody begins the same beside it before the lease has expired."""
    jobs(database, 3)
    leased(database)
    env = {"HANDLED": str(tmp_path / "handled"), "SLOW": "600"}
    call = ("--call", "tests.queue.functions:slow", "--grace", "200ms", "--lease", "1h", *STAYING)
    process = batchops.start("drain", "jobs", "--url", database.url, *DRAIN, *call, env=env)
    until((tmp_path / "handled").exists, process)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in err) == (143, False), (out, err)
    assert database.rows("SELECT DISTINCT status, attempts FROM jobs WHERE lease IS NOT NULL") == [("pending", 1)]
    document = drain(database, "--set", "n = n + 1").json()
    assert (document["rows"], document["leased"]) == (0, 2)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
@pytest.mark.parametrize("kind", ["--exec", "--exec-batch"])
def test_a_program_does_not_outlive_a_drain_that_was_killed(
    batchops: Batchops, queue: Database, tmp_path: Path, kind: str
) -> None:
    process = start(batchops, queue, kind, script(tmp_path, "echo $$ >> $1; exec sleep 600"), *STAYING)
    until(lambda: said(tmp_path), process)
    process.kill()
    process.wait()
    until(lambda: gone(int(said(tmp_path)[0])))


ANSWERS = """
import json, os, sys, threading, time
case, key = sys.argv[1], "keys" in sys.argv
say = lambda *lines: (sys.stdout.write("".join(lines)), sys.stdout.flush())
if case == "banner":
    say("tool 1.0 is ready\\n")
for line in sys.stdin:
    row = json.loads(line)
    answer = json.dumps({"error": "odd"} if row["id"] == 2 else {"ok": True})
    if key:
        answer = json.dumps({"key": row["id"], **json.loads(answer)})
    if row["id"] == 2 and case == "too many":
        say(answer, "\\n", '{"ok": true}\\n')
        continue
    if row["id"] == 2 and case == "too few":
        continue
    if row["id"] == 2 and case == "no end":
        say(answer, " ")
        continue
    if row["id"] == 2 and case == "restarts":
        say(answer, "\\n")
        os._exit(0)
    if row["id"] == 2 and case == "twice":
        say(answer, "\\n", answer, "\\n")
        continue
    if row["id"] == 2 and case == "unknown":
        say('{"key": 99, "ok": true}\\n')
        continue
    say(answer, "\\n")
    if row["id"] == 5 and case == "late":
        threading.Timer(0.2, say, ['{"ok": true}\\n']).start()
"""


def answering(folder: Path, *args: str) -> str:
    path = folder / "answers.py"
    path.write_text(ANSWERS)
    return " ".join([sys.executable, str(path), *(f"'{arg}'" for arg in args)])


WRONG = {
    "too many": "answered with more lines than the 4 rows",
    "too few": "had answered 3 of 4 rows",
    "no end": "with text that is not JSON",
    "unknown": "for a row that it was not given",
}


@pytest.mark.wide(2)
@pytest.mark.parametrize("case", list(WRONG))
def test_answers_that_match_no_row_fail_the_whole_batch(queue: Database, tmp_path: Path, case: str) -> None:
    """None is done, none is given up on; the reason says what was wrong. The first row is a batch by itself."""
    work = answering(tmp_path, case)
    document = drain(queue, "--exec-batch", work, "--batch-size", "5", "--deadline", "2s", "--backoff", "1h").json()
    assert (document["rows"], states(queue)) == (1, {"done": 1, "pending": 4})
    reasons = queue.column("SELECT DISTINCT failure FROM jobs WHERE status = 'pending'")
    assert len(reasons) == 1
    assert WRONG[case] in reasons[0]
    assert leases(queue) == [("done", 1, 1), ("pending", 1, 1)]


def test_a_banner_is_no_answer(queue: Database, tmp_path: Path) -> None:
    result = drain(queue, "--exec-batch", answering(tmp_path, "banner"), "--batch-size", "5", "--backoff", "1h")
    assert (result.code, states(queue)) == (3, {"pending": 5})
    reasons = queue.column("SELECT failure FROM jobs")
    assert all("answered with text that is not JSON: tool 1.0 is ready" in reason for reason in reasons), reasons


@pytest.mark.full
@pytest.mark.wide(2)
@pytest.mark.wide(1)
@pytest.mark.parametrize("case", ["too many", "too few", "twice"])
def test_an_innocent_row_of_a_bad_batch_is_done_in_the_end(queue: Database, tmp_path: Path, case: str) -> None:
    """What failed with its batch is tried alone, so the row that is to blame fails alone."""
    args = ("--batch-size", "5", "--deadline", "2s", "--backoff", "1ms", "--max-attempts", "3")
    work = answering(tmp_path, case)
    for _ in range(4):
        drain(queue, "--exec-batch", work, *args, "--failed", "status = 'failed'")
    assert queue.rows("SELECT id, status FROM jobs ORDER BY id") == [
        (1, "done"), (2, "failed"), (3, "done"), (4, "done"), (5, "done"),
    ]  # fmt: skip


@pytest.mark.parametrize("case", ["right", "too few", "restarts"])
def test_answers_with_keys_count_each_by_itself(queue: Database, tmp_path: Path, case: str) -> None:
    args = ("--batch-size", "5", "--deadline", "2s", "--backoff", "1h")
    document = drain(queue, "--exec-batch", answering(tmp_path, case, "keys"), *args).json()
    assert document["rows"] == 4
    assert queue.column("SELECT id FROM jobs WHERE status = 'pending'") == [2]
    assert queue.scalar("SELECT attempts FROM jobs WHERE id = 2") == 1


def test_an_answer_without_a_row_is_not_passed_on_to_the_next_batch(
    batchops: Batchops, queue: Database, tmp_path: Path
) -> None:
    """It comes when nobody has asked: whoever answered so is not asked again, and a warning says so."""
    events = tmp_path / "events"
    args = ("--batch-size", "5", "--backoff", "1h", "--poll", "300ms", "--events", str(events), "-q")
    process = start(batchops, queue, "--exec-batch", answering(tmp_path, "late"), *args)
    until(lambda: states(queue).get("done") == 4, process)
    time.sleep(0.5)
    queue.execute("INSERT INTO jobs (id, status, n) VALUES (7, 'pending', 0), (8, 'pending', 0), (9, 'pending', 0)")
    until(lambda: states(queue).get("done") == 7, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert queue.rows("SELECT id, failure FROM jobs WHERE status = 'pending'") == [(2, "odd")]
    told = [json.loads(line) for line in events.read_text().splitlines()]
    warned = [event["message"] for event in told if event["event"] == "warned"]
    assert any('said something after its last answer: {"ok": true}' in message for message in warned), warned
