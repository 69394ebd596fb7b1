"""Signals, zombies, poison and handlers that hang."""

import signal
import subprocess
import threading
from pathlib import Path

import pytest

import batchops as library
from batchops.events import Throttled
from tests.command import Batchops, Result
from tests.figures import Figures
from tests.leases import expired, lease_ends
from tests.queue.functions import go_on
from tests.queue.jobs import DONE, DRAIN, PENDING, drain, jobs, leased, states
from tests.services.database import Database
from tests.waiting import ended, signalled, until

CALL = "tests.queue.functions:{}"


def start(batchops: Batchops, database: Database, handled: Path, *args: str) -> subprocess.Popen[str]:
    env = {"HANDLED": str(handled)}
    return batchops.start("drain", "jobs", "--url", database.url, *DRAIN, "-q", *args, env=env)


@pytest.mark.parametrize(("poll", "code"), [((), 143), (("--poll", "10s"), 0)])
def test_sigterm_finishes_the_batch(
    batchops: Batchops, postgresql: Database, tmp_path: Path, poll: tuple[str, ...], code: int
) -> None:
    jobs(postgresql, 40)
    leased(postgresql)
    handled = tmp_path / "handled"
    process = start(batchops, postgresql, handled, "--call", CALL.format("slow"), "--batch-size", "10", *poll)
    until(handled.exists, process)
    signalled(process, signal.SIGTERM)
    go_on(handled).touch()
    assert ended(process).code == code
    assert states(postgresql) == {"done": 11, "pending": 29}
    assert postgresql.rows("SELECT DISTINCT lease, attempts FROM jobs WHERE status = 'pending'") == [(None, 0)]


def test_sigterm_hands_back_what_was_not_begun(batchops: Batchops, postgresql: Database, tmp_path: Path) -> None:
    jobs(postgresql, 10)
    leased(postgresql)
    began = tmp_path / "began"
    work = f"sh -c 'echo x >> {began}; while [ ! -e {go_on(began)} ]; do sleep 0.1; done'"
    process = start(batchops, postgresql, tmp_path / "none", "--exec", work, "--batch-size", "10")
    until(began.exists, process)
    signalled(process, signal.SIGTERM)
    go_on(began).touch()
    assert ended(process).code == 143
    begun = len(began.read_text().split())
    assert begun < 10
    assert states(postgresql) == {"done": begun, "pending": 10 - begun}
    assert postgresql.rows("SELECT DISTINCT lease, attempts FROM jobs WHERE status = 'pending'") == [(None, 0)]


@pytest.mark.in_turn
def test_a_zombie_finalises_nothing(batchops: Batchops, database: Database, tmp_path: Path) -> None:
    jobs(database, 10)
    leased(database)
    handled = tmp_path / "handled"
    zombie = start(batchops, database, handled, "--call", CALL.format("slow"), "--json")
    until(handled.exists, zombie)
    zombie.send_signal(signal.SIGSTOP)
    expired(database, "jobs")
    # Another takes the rows over one by one and does what is to be done: n becomes 1.
    taken = drain(database, "--set", "n = n + 1").json()
    assert (taken["rows"], states(database)) == (9, {"done": 10})
    before = database.rows("SELECT * FROM jobs ORDER BY id")
    go_on(handled).touch()
    zombie.send_signal(signal.SIGCONT)
    _, out, _ = ended(zombie)
    assert '"lost": 9' in out
    assert '"rows": 1,' in out
    assert database.rows("SELECT * FROM jobs ORDER BY id") == before


@pytest.mark.in_turn
def test_poison_is_a_dead_letter_and_the_others_go_on(
    batchops: Batchops, database: Database, tmp_path: Path, figures: Figures
) -> None:
    jobs(database, 40)
    leased(database)
    handled = tmp_path / "handled"
    args = ("--call", CALL.format("poison"), "--max-attempts", "2", "--batch-size", "20")
    deaths = 0
    while True:
        process = start(batchops, database, handled, *args, "--failed", "status = 'failed'")
        code = ended(process).code
        if code != -signal.SIGKILL:
            break
        deaths += 1
        assert deaths < 10
        expired(database, "jobs")
    assert states(database) == {"done": 39, "failed": 1}
    assert database.column("SELECT id FROM jobs WHERE status = 'failed'") == [13]
    assert "heartbeat stopped at 2 attempts" in database.scalar("SELECT failure FROM jobs WHERE id = 13")
    # Once in its batch, once alone: its batch-mates are innocent.
    assert deaths == 2
    figures(deaths=deaths)


@pytest.mark.in_turn
def test_a_handler_that_hangs(batchops: Batchops, database: Database) -> None:
    jobs(database, 20)
    leased(database)
    args = ("--deadline", "1s", "--max-attempts", "2", "--batch-size", "4", "--failed", "status = 'failed'")
    result = apart(batchops, database, "--call", CALL.format("hangs_at_thirteen"), *args)
    assert result.code == 3, result.err
    assert states(database) == {"done": 19, "failed": 1}
    assert "did not return within 1 s" in database.scalar("SELECT failure FROM jobs WHERE id = 13")


@pytest.mark.wide(1)
@pytest.mark.parametrize("lease", ["columns", "none"])
def test_a_handler_that_hangs_in_the_transaction(batchops: Batchops, postgresql: Database, lease: str) -> None:
    jobs(postgresql, 20)
    leased(postgresql)
    args = ("--deadline", "1s", "--max-attempts", "2", "--batch-size", "4", "--lease-in", lease)
    result = apart(batchops, postgresql, "--call", CALL.format("hangs_inside"), *args)
    assert result.code == 3, result.err
    assert states(postgresql) == {"done": 19, "pending": 1}
    assert sorted(postgresql.column("SELECT job FROM effects")) == [n for n in range(1, 21) if n != 13]


@pytest.mark.in_turn
def test_a_long_handler_keeps_its_rows(batchops: Batchops, database: Database, tmp_path: Path) -> None:
    jobs(database, 5)
    leased(database)
    handled = tmp_path / "handled"
    process = start(batchops, database, handled, "--call", CALL.format("slow"), "--lease", "6s")
    until(handled.exists, process)
    first = lease_ends(database, "jobs")
    until(lambda: lease_ends(database, "jobs") > first, process)
    other = drain(database, "--set", "n = n + 1", "--lock-timeout", "200ms")
    told = other.json()
    assert (other.code, told["reason"], told["rows"], told["leased"]) == (11, "locked", 0, 4), other
    assert "4 rows are leased to other workers: " in told["error"]["message"]
    assert f".{process.pid} (4, for " in told["error"]["message"]
    go_on(handled).touch()
    assert ended(process).code == 0
    assert database.rows("SELECT status, n, attempts FROM jobs GROUP BY status, n, attempts") == [("done", 0, 1)]


def test_a_notification_wakes_a_resting_drain(postgresql: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which rests for an hour from the first time on."""
    monkeypatch.setattr("batchops.runtime.idle.FIRST", 3600.0)
    jobs(postgresql, 1)
    leased(postgresql)
    stop, resting = library.Stop(), threading.Event()
    asked = {"url": postgresql.url, "table": "jobs", "where": PENDING, "done": DONE, "set": ["n = n + 1"]}

    def hear(event: object) -> None:
        if isinstance(event, Throttled):
            resting.set()

    def work() -> None:
        library.drain(**asked, poll="1h", listen="jobs_came", on_event=hear, stop=stop)

    thread = threading.Thread(target=work)
    thread.start()

    def woken() -> bool:
        postgresql.execute("NOTIFY jobs_came")  # again and again: it may not listen yet
        return "pending" not in states(postgresql)

    try:
        until(resting.is_set)
        postgresql.execute("INSERT INTO jobs (id, status, n) VALUES (100, 'pending', 0)")
        until(woken)
    finally:
        stop.ask("stopped")
        thread.join()


def apart(batchops: Batchops, database: Database, *args: str) -> Result:
    """In a process of its own: a handler that hangs leaves its thread behind."""
    return batchops.apart("drain", "jobs", "--url", database.url, *DRAIN, "--json", *args)
