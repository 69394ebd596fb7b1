"""One run per job: a second copy is turned away, a stopped one that was taken over writes nothing more."""

import signal
import subprocess
import time

import pytest

from tests.command import Batchops
from tests.crash.scenario import COUNT_UP, make
from tests.services.database import Database

SLOW = ("--batch-size", "20", "--rest", "30ms")
JOB = (COUNT_UP.verb, *COUNT_UP.arguments)


def wait_for_work(database: Database, batches: int = 3, seconds: float = 30) -> None:
    """Until the run has committed so many batches."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if (database.scalar("SELECT max(batches) FROM batchops_lane") or 0) >= batches:
                return
        except Exception as error:  # noqa: BLE001  the ledger is not there yet
            assert "batchops" in str(error)
        time.sleep(0.05)
    raise AssertionError("the run did not begin to work")


def test_a_second_copy_is_turned_away(batchops: Batchops, database: Database) -> None:
    make(database)
    first = batchops.start(*JOB, "--url", database.url, "-y", *SLOW)
    wait_for_work(database)
    second = batchops(*JOB, "--url", database.url, "-y", "--json")
    assert second.code == 11
    assert second.json()["error"]["code"] == "locked"
    assert str(first.pid) in second.json()["error"]["message"]
    assert first.wait(60) == 0
    assert COUNT_UP.wrong(database) is None


def test_a_killed_run_is_taken_over_at_once(batchops: Batchops, database: Database) -> None:
    """On the same host it can be seen that the process is gone; nobody waits for an hour's lease."""
    make(database)
    first = batchops.start(*JOB, "--url", database.url, "-y", "--lease-time", "1h", *SLOW)
    wait_for_work(database)
    first.kill()
    first.wait()
    second = batchops(*JOB, "--url", database.url, "-y", "--json")
    assert second.code == 0, second
    assert COUNT_UP.wrong(database) is None


def test_a_stopped_run_that_was_taken_over_writes_nothing_more(batchops: Batchops, database: Database) -> None:
    make(database)
    first = batchops.start(*JOB, "--url", database.url, "-y", "--json", "--lease-time", "1s", *SLOW)
    wait_for_work(database)
    if database.family == "sqlite":
        stop_between_batches(first, database)
    else:
        first.send_signal(signal.SIGSTOP)
    time.sleep(1.5)
    second = batchops(*JOB, "--url", database.url, "-y", "--json")
    assert second.code == 0, second
    assert COUNT_UP.wrong(database) is None
    before = database.rows("SELECT run, lane, batches, rows_changed FROM batchops_lane ORDER BY 1, 2")
    first.send_signal(signal.SIGCONT)
    out, err = first.communicate(timeout=60)
    assert first.returncode == 11, (out, err)
    assert COUNT_UP.wrong(database) is None
    assert database.rows("SELECT run, lane, batches, rows_changed FROM batchops_lane ORDER BY 1, 2") == before


def stop_between_batches(process: "subprocess.Popen[str]", database: Database) -> None:
    """A process stopped inside a write holds SQLite's file; stop it where it does not."""
    for _ in range(50):
        process.send_signal(signal.SIGSTOP)
        try:
            database.execute("UPDATE t SET kind = kind WHERE id = -1")
            return
        except Exception as error:  # noqa: BLE001  whatever the driver calls a locked file
            assert "locked" in str(error)
            process.send_signal(signal.SIGCONT)
            time.sleep(0.02)
    raise AssertionError("never met between two batches")


@pytest.mark.parametrize("copies", [6, pytest.param(20, marks=pytest.mark.full)])
def test_many_copies_at_once(batchops: Batchops, database: Database, copies: int) -> None:
    """As when cron starts one job on many hosts: one works, the others say who does."""
    make(database)
    started = [batchops.start(*JOB, "--url", database.url, "-y", "-q", *SLOW) for _ in range(copies)]
    ended = [(p.communicate(timeout=120)[1], p.returncode) for p in started]
    codes = sorted(code for _, code in ended)
    assert [end for end in ended if end[1] not in (0, 11)] == []
    assert codes.count(0) == 1, codes
    assert codes.count(11) == copies - 1, codes
    assert COUNT_UP.wrong(database) is None
