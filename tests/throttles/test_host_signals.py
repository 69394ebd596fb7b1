"""What every database can be watched for: its own COMMITs, its disk, its CPUs."""

import os
import threading
from pathlib import Path

import psycopg
import pytest

from batchops.db.commit_times import EXPIRES, LATELY, CommitTimes
from batchops.db.database import connect
from batchops.db.urls import address
from tests.cli.conftest import filled
from tests.clock import Clock
from tests.command import Batchops
from tests.services.database import Database
from tests.throttles.run import ThrottledRun

PURGE = ("purge", "ev", "--where", "kind = 1", "-y")


@pytest.mark.in_turn
def test_a_disk_with_less_than_the_limit_holds_it(database: Database, batchops: Batchops, tmp_path: Path) -> None:
    filled(database)
    plan = batchops(*PURGE, "--url", database.url, "-n", "--json", "--throttle", "free-disk=1MB").json()["plan"]
    (one,) = [each for each in plan["throttles"] if each["throttle"] == "free-disk"]
    folder = one["of"] if one["of"] != "the data directory" else "/"
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    assert abs(one["value"] - free) < 1e9
    run = ThrottledRun(
        batchops,
        tmp_path,
        *PURGE,
        "--url",
        database.url,
        "--throttle",
        "free-disk=900000GB",
        "--throttle-timeout",
        "2s",
    )
    why = run.until_throttled()
    assert (why["reason"].endswith("(at least 900 TB)"), run.end()["exit"]) == (True, 75)
    assert batchops(*PURGE, "--url", database.url, "--throttle", "free-disk=1MB", "--json").json()["rows"] == 100
    wrong = batchops(*PURGE, "--url", database.url, "--throttle", "free-disk=1MB,stop=2MB")
    assert (wrong.code, "must be less than the limit" in wrong.err) == (2, True), wrong.err


@pytest.mark.in_turn
def test_commits_that_take_longer_than_the_limit_hold_it(database: Database, batchops: Batchops) -> None:
    """None takes no time at all. On PostgreSQL those of batches do not wait for the disk, the heartbeat's do."""
    filled(database)
    words = ("--batch-size", 1, "--sleep", "100ms", "--lease", "1s", "--throttle-timeout", "1s", "--json")
    held = batchops(*PURGE, "--url", database.url, "--throttle", "commit-latency=0s", *words)
    end = held.json()
    assert (held.code, end["throttled_by"][0]["throttle"]) == (75, "commit-latency"), held
    assert "commit-latency: " in end["error"]["message"]
    assert batchops(*PURGE, "--url", database.url, "--throttle", "commit-latency=1h", "--json").code == 0


def test_only_commits_of_late_count_and_those_that_wait_for_the_disk(postgresql: Database) -> None:
    clock = Clock()
    times = CommitTimes(clock)
    assert times.mean() is None
    times.add(0.1)
    clock.now += LATELY + 1
    times.add(0.3)
    assert times.mean() == pytest.approx(0.3)
    times.add(0.5)
    assert times.mean() == pytest.approx(0.4)
    clock.now += LATELY + 1
    assert times.mean() == pytest.approx(0.5), "the last one counts until there may have been another"
    clock.now += EXPIRES
    assert times.mean() is None
    opened = connect(address(postgresql.url, {}))
    with opened.transaction(lazy=True):
        pass
    assert opened.commit_times.mean() is None
    with opened.transaction():
        pass
    assert opened.commit_times.mean() is not None
    opened.close()


def test_sessions_for_each_cpu(postgresql: Database, batchops: Batchops, tmp_path: Path) -> None:
    filled(postgresql)
    with psycopg.connect(postgresql.url, autocommit=True) as other:
        sleeper = threading.Thread(target=sleep, args=(other,))
        sleeper.start()
        run = ThrottledRun(batchops, tmp_path, *PURGE, "--url", postgresql.url, "--throttle", "active-per-cpu=0.001")
        why = run.until_throttled()
        other.cancel()
        sleeper.join()
    cpus = os.cpu_count() or 1
    assert why["reason"].startswith(f"active-per-cpu of {cpus} CPUs: ")
    assert why["value"] >= 1 / cpus
    run.end()


def sleep(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    with pytest.raises(psycopg.errors.QueryCanceled):
        connection.execute("SELECT pg_sleep(600)")


def test_mariadb_counts_its_threads_for_each_cpu(mariadb: Database, batchops: Batchops) -> None:
    filled(mariadb)
    plan = batchops(*PURGE, "--url", mariadb.url, "-n", "--json", "--throttle", "active-per-cpu=1000").json()["plan"]
    (one,) = [each for each in plan["throttles"] if each["throttle"] == "active-per-cpu"]
    assert (one["of"], one["unit"], one["value"] is not None) == (f"{os.cpu_count()} CPUs", "factor", True)
