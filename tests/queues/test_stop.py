"""Signals, zombies, poison and handlers that hang."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import Batchops, Result
from tests.figures import Figures
from tests.queues.jobs import DRAIN, drain, jobs, leased, states
from tests.services.database import Database

CALL = "tests.queues.hands:{}"


def wait_for(
    condition: Callable[[], object], process: subprocess.Popen[str] | None = None, seconds: float = 60
) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        assert process is None or process.poll() is None, process.communicate()[1]
        time.sleep(0.05)


def start(
    batchops: Batchops, database: Database, handled: Path, *args: str, slow: float = 1.0
) -> subprocess.Popen[str]:
    env = {"HANDLED": str(handled), "SLOW": str(slow)}
    return batchops.start("drain", "jobs", "--url", database.url, *DRAIN, "-q", *args, env=env)


@pytest.mark.parametrize(("poll", "code"), [((), 143), (("--poll", "10s"), 0)])
def test_sigterm_finishes_the_batch(
    batchops: Batchops, postgresql: Database, tmp_path: Path, poll: tuple[str, ...], code: int
) -> None:
    jobs(postgresql, 40)
    leased(postgresql)
    handled = tmp_path / "handled"
    process = start(batchops, postgresql, handled, "--call", CALL.format("slow"), "--batch-size", "10", *poll)
    wait_for(handled.exists, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == code
    assert states(postgresql) == {"done": 10, "pending": 30}
    assert postgresql.rows("SELECT DISTINCT lease, attempts FROM jobs WHERE status = 'pending'") == [(None, 0)]


def test_sigterm_hands_back_what_was_not_begun(batchops: Batchops, postgresql: Database, tmp_path: Path) -> None:
    jobs(postgresql, 10)
    leased(postgresql)
    began = tmp_path / "began"
    work = f"sh -c 'echo x >> {began}; sleep 1'"
    process = start(batchops, postgresql, tmp_path / "none", "--exec", work, "--batch-size", "10")
    wait_for(began.exists, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 143
    begun = len(began.read_text().split())
    assert begun < 10
    assert states(postgresql) == {"done": begun, "pending": 10 - begun}
    assert postgresql.rows("SELECT DISTINCT lease, attempts FROM jobs WHERE status = 'pending'") == [(None, 0)]


def test_a_zombie_finalises_nothing(batchops: Batchops, database: Database, tmp_path: Path) -> None:
    jobs(database, 10)
    leased(database)
    handled = tmp_path / "handled"
    lease = ("--lease-time", "1s")
    zombie = start(batchops, database, handled, "--call", CALL.format("slow"), *lease, "--json")
    wait_for(handled.exists, zombie)
    zombie.send_signal(signal.SIGSTOP)
    time.sleep(1.5)
    # Another takes the rows over one by one and does what is to be done: n becomes 1.
    taken = drain(database, "--set", "n = n + 1", *lease).json()
    assert (taken["rows"], states(database)) == (10, {"done": 10})
    before = database.rows("SELECT * FROM jobs ORDER BY id")
    zombie.send_signal(signal.SIGCONT)
    out, _ = zombie.communicate(timeout=30)
    assert '"lost": 10' in out
    assert '"rows": 0' in out
    assert database.rows("SELECT * FROM jobs ORDER BY id") == before


def test_poison_is_parked_and_the_others_go_on(
    batchops: Batchops, database: Database, tmp_path: Path, figures: Figures
) -> None:
    jobs(database, 40)
    leased(database)
    handled = tmp_path / "handled"
    args = ("--call", CALL.format("poison"), "--lease-time", "1s", "--max-attempts", "2", "--batch-size", "20")
    deaths = 0
    while True:
        process = start(batchops, database, handled, *args, "--failed", "status = 'failed'")
        code = process.wait(60)
        if code != -signal.SIGKILL:
            break
        deaths += 1
        assert deaths < 10
        time.sleep(1.2)
    assert states(database) == {"done": 39, "failed": 1}
    assert database.column("SELECT id FROM jobs WHERE status = 'failed'") == [13]
    assert "no more sign of life at 2 attempts" in database.scalar("SELECT failure FROM jobs WHERE id = 13")
    # Once in its batch, once alone: its batch-mates are innocent.
    assert deaths == 2
    figures(deaths=deaths)


def test_a_handler_that_hangs(batchops: Batchops, database: Database) -> None:
    jobs(database, 20)
    leased(database)
    args = ("--deadline", "500ms", "--max-attempts", "2", "--batch-size", "20", "--failed", "status = 'failed'")
    result = apart(batchops, database, "--call", CALL.format("hangs_at_thirteen"), *args)
    assert result.code == 3, result.err
    assert states(database) == {"done": 19, "failed": 1}
    assert "did not come back within 0.5 s" in database.scalar("SELECT failure FROM jobs WHERE id = 13")


@pytest.mark.parametrize("lease", ["columns", "none"])
def test_a_handler_that_hangs_in_the_transaction(batchops: Batchops, postgresql: Database, lease: str) -> None:
    jobs(postgresql, 20)
    leased(postgresql)
    args = ("--deadline", "500ms", "--max-attempts", "2", "--batch-size", "20", "--lease", lease)
    result = apart(batchops, postgresql, "--call", CALL.format("hangs_inside"), *args)
    assert result.code == 3, result.err
    assert states(postgresql) == {"done": 19, "pending": 1}
    assert sorted(postgresql.column("SELECT job FROM effects")) == [n for n in range(1, 21) if n != 13]


def test_a_long_handler_keeps_its_rows(batchops: Batchops, database: Database, tmp_path: Path) -> None:
    jobs(database, 5)
    leased(database)
    handled = tmp_path / "handled"
    lease = ("--lease-time", "1s")
    process = start(batchops, database, handled, "--call", CALL.format("slow"), *lease, slow=3.0)
    wait_for(handled.exists, process)
    time.sleep(1.5)
    other = drain(database, "--set", "n = n + 1", *lease).json()
    assert (other["rows"], other["leased"]) == (0, 5)
    assert process.wait(30) == 0
    assert database.rows("SELECT status, n, attempts FROM jobs GROUP BY status, n, attempts") == [("done", 0, 1)]


def test_a_notification_wakes_a_resting_drain(batchops: Batchops, postgresql: Database, tmp_path: Path) -> None:
    jobs(postgresql, 1)
    leased(postgresql)
    events = tmp_path / "events"
    stay = ("--poll", "1h", "--listen", "jobs_came", "--events", str(events))
    process = start(batchops, postgresql, tmp_path / "none", "--set", "n = n + 1", *stay)
    # The rests double from 50 ms on: in one of many seconds only the notification can be in time.
    wait_for(lambda: max(_rests(events), default=0) > 5, process)
    postgresql.execute("INSERT INTO jobs (id, status, n) VALUES (100, 'pending', 0)")
    postgresql.execute("NOTIFY jobs_came")
    wait_for(lambda: "pending" not in states(postgresql), process, 4)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def apart(batchops: Batchops, database: Database, *args: str) -> Result:
    """In a process of its own: a handler that hangs leaves its thread behind."""
    return batchops.apart("drain", "jobs", "--url", database.url, *DRAIN, "--json", *args)


def _rests(events: Path) -> list[float]:
    told = [json.loads(line) for line in events.read_text().splitlines()] if events.exists() else []
    return [line["seconds"] for line in told if line["event"] == "held"]
